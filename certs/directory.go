// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// WriteFiles puts a self-signed certificate into the directory as ca.crt, tls.crt
// and tls.key, and returns it. The directory is made when it does not exist. A
// directory that already has tls.crt and tls.key keeps them, and they are what is
// returned (without CA when there is no ca.crt); they must belong together and be
// valid. Each file appears whole or not at all, tls.crt last.
func WriteFiles(dir string, opts Options) (PEM, error) {
	opts, err := opts.complete()
	if err != nil {
		return PEM{}, err
	}
	// The key is for this process alone.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return PEM{}, fmt.Errorf("make certificate directory: %w; name a directory that this process may write to", err)
	}
	existing, err := readDirectory(dir)
	if err != nil {
		return PEM{}, err
	}
	switch {
	case existing.Certificate != nil && existing.Key != nil:
		return existing, checkExisting(dir, existing, opts)
	case existing.CA != nil || existing.Certificate != nil || existing.Key != nil:
		return PEM{}, fmt.Errorf("certificate directory %s is incomplete: it has %s; remove what is there, or add what is missing of %s and %s",
			dir, strings.Join(existing.files(), " and "), CertificateFile, KeyFile)
	}
	made, err := SelfSigned(opts)
	if err != nil {
		return PEM{}, err
	}
	for _, file := range []struct {
		name string
		text []byte
		mode fs.FileMode
	}{
		{CAFile, made.CA, 0o644},
		{KeyFile, made.Key, 0o600},
		{CertificateFile, made.Certificate, 0o644},
	} {
		if err := writeFile(filepath.Join(dir, file.name), file.text, file.mode); err != nil {
			return PEM{}, fmt.Errorf("write certificate directory: %w; name a directory that this process may write to", err)
		}
	}
	return made, nil
}

// files returns the names of the files that are there.
func (p PEM) files() []string {
	var names []string
	for _, file := range []struct {
		name string
		text []byte
	}{{CAFile, p.CA}, {CertificateFile, p.Certificate}, {KeyFile, p.Key}} {
		if file.text != nil {
			names = append(names, file.name)
		}
	}
	return names
}

func readDirectory(dir string) (PEM, error) {
	var p PEM
	for _, file := range []struct {
		name string
		text *[]byte
	}{{CAFile, &p.CA}, {CertificateFile, &p.Certificate}, {KeyFile, &p.Key}} {
		text, err := os.ReadFile(filepath.Join(dir, file.name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return PEM{}, fmt.Errorf("read certificate directory: %w", err)
		}
		*file.text = text
	}
	return p, nil
}

// checkExisting says why files that are already there cannot be served.
func checkExisting(dir string, p PEM, opts Options) error {
	file := filepath.Join(dir, CertificateFile)
	pair, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return fmt.Errorf("load certificate %s with key %s: %w; replace both, or remove them to have new ones made", file, filepath.Join(dir, KeyFile), err)
	}
	if err := checkTime(file, pair.Leaf, opts.Now()); err != nil {
		return fmt.Errorf("%w, or remove %s, %s and %s from its directory to have new ones made", err, CAFile, CertificateFile, KeyFile)
	}
	if p.CA == nil {
		return nil
	}
	if err := Verify(p.Certificate, p.CA, "", opts.Now()); err != nil {
		return fmt.Errorf("compare %s with %s: %w; put the CA into it that signed the certificate", filepath.Join(dir, CAFile), file, err)
	}
	return nil
}

// writeFile makes the file appear with its whole content, or not at all.
func writeFile(name string, text []byte, mode fs.FileMode) (err error) {
	dir, base := filepath.Split(name)
	temporary, err := os.CreateTemp(dir, "."+base+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	if err := errors.Join(writeAndSync(temporary, text, mode), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}

func writeAndSync(file *os.File, text []byte, mode fs.FileMode) error {
	if err := file.Chmod(mode); err != nil {
		return err
	}
	if _, err := file.Write(text); err != nil {
		return err
	}
	return file.Sync()
}
