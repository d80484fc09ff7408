// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seccompgate/seccompgate/seccomp"
)

// writeRoot in the environment makes the test binary a program that writes to that host
// until it is killed.
const writeRoot = "PROVISION_TEST_ROOT"

func TestMain(m *testing.M) {
	if root := os.Getenv(writeRoot); root != "" {
		writeForever(root)
	}
	os.Exit(m.Run())
}

// contents are two that differ in size and in every byte.
func contents() [2]Profile {
	return [2]Profile{
		profile("app", strings.Repeat("a", 5_000)),
		profile("app", strings.Repeat("b", 12_000)),
	}
}

func writeForever(root string) {
	d, err := Open(root, seccompRoot)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		for _, c := range d.Apply([]Profile{contents()[i%2]}, keepNothing) {
			if c.Err != nil {
				fmt.Fprintln(os.Stderr, c.Err)
				os.Exit(1)
			}
		}
		if i == 0 {
			fmt.Println("writing")
		}
	}
}

// TestNoTornReads replaces the plain file 10,000 times while others read it. It does so
// in memory if it can: a disk's flushes would take minutes and hide nothing from readers.
func TestNoTornReads(t *testing.T) {
	const replaces, readers = 10_000, 2
	root := t.TempDir()
	if memory, err := os.MkdirTemp("/dev/shm", "provision-"); err == nil {
		root = memory
		t.Cleanup(func() { must(t, os.RemoveAll(memory)) })
	}
	must(t, os.MkdirAll(filepath.Join(root, kubeletRoot), 0o700))
	h := openHost(t, root)
	both := contents()
	h.Apply(both[:1], keepEverything)
	path := h.path("app.json")
	var done atomic.Bool
	var group sync.WaitGroup
	var reads [readers][len(both)]int
	for r := range readers {
		group.Go(func() {
			for !done.Load() {
				data, err := os.ReadFile(path)
				switch {
				case err != nil:
					t.Errorf("read: %v", err)
					return
				case bytes.Equal(data, both[0].Content):
					reads[r][0]++
				case bytes.Equal(data, both[1].Content):
					reads[r][1]++
				default:
					t.Errorf("torn read of %d bytes", len(data))
					return
				}
			}
		})
	}
	for i := range replaces {
		for _, c := range h.Apply(both[(i+1)%2:][:1], keepEverything) {
			if c.Err != nil {
				t.Fatal(c.Err)
			}
		}
		if t.Failed() {
			break
		}
	}
	done.Store(true)
	group.Wait()
	t.Logf("%d replaces, whole reads of each content: %v", replaces, reads)
	if reads[0][0]+reads[1][0] < 100 || reads[0][1]+reads[1][1] < 100 {
		t.Errorf("too few reads to prove anything: %v", reads)
	}
}

// TestKill kills a writer 200 times with SIGKILL, at moments of chance.
func TestKill(t *testing.T) {
	const kills = 200
	h := newHost(t)
	leftOvers := 0
	for i := range kills {
		killWriter(t, h.root)
		entries, err := os.ReadDir(h.ours)
		must(t, err)
		for _, e := range entries {
			if isPart(e.Name()) {
				leftOvers++
				continue
			}
			if !isOurs(e.Name()) {
				t.Errorf("kill %d leaves %s", i, e.Name())
			}
			data, err := os.ReadFile(h.path(e.Name()))
			must(t, err)
			digest := seccomp.Digest(data)
			if _, digits := seccomp.Generation(pathOf(e.Name())); digits != "" && pathOf(e.Name()) != seccomp.DigestPath("app", digest) ||
				digest != contents()[0].Digest && digest != contents()[1].Digest {
				t.Errorf("kill %d leaves %s with %d bytes of %s", i, e.Name(), len(data), digest)
			}
		}
	}
	t.Logf("%d kills left %d unfinished files under hidden names", kills, leftOvers)
	if leftOvers == 0 {
		t.Errorf("%d kills never came in the middle of a write, which proves nothing", kills)
	}
	must(t, os.WriteFile(h.path(hidden("app.json", partSuffix)), []byte("torn"), 0o600))
	app := contents()[0]
	h.Apply([]Profile{app}, keepNothing)
	h.holds(files(app))
}

// killWriter starts a writer and kills it while it writes.
func killWriter(t *testing.T, root string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), writeRoot+"="+root)
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line := make([]byte, 1)
	_, err = stdout.Read(line) // after one round at least, which cleans up too
	time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
	err = errors.Join(err, cmd.Process.Kill())
	_ = cmd.Wait() // killed, as it should be
	if err != nil {
		t.Fatalf("writer in %s: %v %s", filepath.Base(root), err, &stderr)
	}
}
