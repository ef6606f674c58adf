package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"time"
)

// Limits on what a runtime sends. A list for GC with all 65,535 attachments,
// which libcni sends twice, stays below the size.
const (
	stdinLimit   = 32 << 20
	stdinTimeout = 10 * time.Second
	stdinUsual   = 4096
	stdinLarge   = 256 << 10
	stdinHuge    = 1 << 20
)

// beThrifty keeps the memory that a large configuration takes in proportion to its
// size, at the cost of processor time: garbage is at most a fifth of what is used,
// and less where six times the size are in use, beside what any call takes.
func beThrifty(size int) {
	if size > stdinLarge {
		debug.SetGCPercent(20)
	}
	if size > stdinHuge {
		debug.SetMemoryLimit(6*int64(size) + 8<<20)
	}
}

// readAll reads a configuration, but does not wait for ever, nor for more than
// any runtime sends. It polls rather than reads beside a timer, because a second
// thread would cost an ADD more than all its work on the records.
func readAll(f *os.File) ([]byte, error) {
	end := time.Now().Add(stdinTimeout)
	data := make([]byte, 0, stdinUsual)
	for len(data) <= stdinLimit {
		ready, err := waitReadable(f, end)
		if err != nil {
			return nil, fmt.Errorf("%w: waiting for the configuration on standard input: %w", errInput, err)
		}
		if !ready {
			return nil, fmt.Errorf("%w: the configuration on standard input did not end within %v", errInput, stdinTimeout)
		}
		data = slices.Grow(data, stdinUsual)
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			beThrifty(len(data))
			return data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: reading the configuration from standard input: %w", errInput, err)
		}
	}
	return nil, fmt.Errorf("%w: the configuration on standard input is longer than %d MiB", errInput, stdinLimit>>20)
}
