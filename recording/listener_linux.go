// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Buffer in bytes in which the kernel keeps records until they are read: it held
	// 200,000 that one process had made at once, of which 8 MiB lost three quarters.
	Buffer = 64 << 20

	// readLog is AUDIT_NLGRP_READLOG of linux/audit.h, the group that every record goes
	// to, whether auditd runs or not.
	readLog = 1
	// seccompType is AUDIT_SECCOMP of linux/audit.h.
	seccompType = 1326
	// maxMessage is more than the kernel writes, 8,970 bytes and a header.
	maxMessage = 16 << 10
)

// Listener receives records from the kernel, beside auditd and whoever else does.
type Listener struct {
	file *os.File
	conn syscall.RawConn

	mu      sync.Mutex
	losses  Losses
	serials serials
}

// Listen begins to receive, with a buffer of so many bytes, or with what a limit leaves of
// them without CAP_NET_ADMIN. It needs CAP_AUDIT_READ in the initial user namespace, and
// the network namespace must be the initial one: in others the kernel says nothing, and no
// error tells.
func Listen(buffer int) (*Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_AUDIT)
	if err != nil {
		return nil, fmt.Errorf("open audit socket: %w", err)
	}
	file := os.NewFile(uintptr(fd), "audit")
	if err := setBuffer(fd, buffer); err != nil {
		return nil, errors.Join(fmt.Errorf("set buffer of audit socket: %w", err), file.Close())
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (readLog - 1)}); err != nil {
		return nil, errors.Join(fmt.Errorf("receive audit records: %w; it needs CAP_AUDIT_READ in the initial user namespace", err), file.Close())
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open audit socket: %w", err), file.Close())
	}
	return &Listener{file: file, conn: conn}, nil
}

func setBuffer(fd, size int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	return err
}

// Close ends what Listen began.
func (l *Listener) Close() error { return l.file.Close() }

// Losses returns what did not come so far.
func (l *Listener) Losses() Losses {
	l.mu.Lock()
	defer l.mu.Unlock()
	losses := l.losses
	losses.Missing = l.serials.missing
	return losses
}

// Receive calls do for each record until the context ends, which is no error. What the
// kernel has not sent by then, or what is not read, stays in the buffer for another call.
func (l *Listener) Receive(ctx context.Context, do func(*Record)) error {
	if err := l.file.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("receive audit records: %w", err)
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = l.file.SetReadDeadline(time.Unix(1, 0)) // a read that waits ends at once
	})
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	buffer := make([]byte, maxMessage)
	for ctx.Err() == nil {
		message, err := l.read(buffer)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			l.count(func(losses *Losses) { losses.Overruns++ })
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return fmt.Errorf("receive audit records: %w", err)
		default:
			l.take(message, do)
		}
	}
	return nil
}

func (l *Listener) count(add func(*Losses)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add(&l.losses)
}

// read returns the next message, or none when it came from anybody but the kernel: who
// administers the network can send to this socket, too.
func (l *Listener) read(buffer []byte) (message []byte, err error) {
	var n int
	var from unix.Sockaddr
	waited := l.conn.Read(func(fd uintptr) bool {
		for {
			n, from, err = unix.Recvfrom(int(fd), buffer, 0)
			if !errors.Is(err, unix.EINTR) {
				return !errors.Is(err, unix.EAGAIN)
			}
		}
	})
	if waited != nil {
		return nil, waited
	}
	if err != nil {
		return nil, err
	}
	if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
		return nil, nil
	}
	return buffer[:n], nil
}

// take counts a message, and gives it to do when its type is that of a seccomp record:
// nothing in the text says so.
func (l *Listener) take(message []byte, do func(*Record)) {
	if len(message) < unix.NLMSG_HDRLEN {
		return
	}
	kind := binary.NativeEndian.Uint16(message[4:])
	text := bytes.TrimRight(message[unix.NLMSG_HDRLEN:], "\x00")
	var event Record
	if stamp, ok := bytes.CutPrefix(text, []byte("audit(")); ok {
		if _, ok := event.event(stamp); ok {
			l.count(func(*Losses) { l.serials.add(event.Serial) })
		}
	}
	if kind != seccompType {
		return
	}
	r, err := Parse(text)
	if err != nil {
		l.count(func(losses *Losses) { losses.Broken++ })
		return
	}
	do(&r)
}
