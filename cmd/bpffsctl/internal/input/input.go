// Package input reads what an operator names, or what another process may have put
// onto the node. Nothing there keeps the caller waiting for longer than it wants.
package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ErrNotRegular says that a path leads to something that has no fixed content: a
// directory, pipe, socket or device.
var ErrNotRegular = errors.New("not a regular file")

// MaxSize is how much [Read] takes at most, in bytes.
const MaxSize = 64 << 20

// Open opens the regular file that path leads to for reading. It never waits, as
// os.Open does for the writer of a pipe, and does not open devices, for which that
// may be a command: [ErrNotRegular].
func Open(path string) (*os.File, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(path, fi); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err = f.Stat() // of what is there by now
	if err == nil {
		err = regular(path, fi)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func regular(path string, fi fs.FileInfo) error {
	if fi.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%s: %w (%v)", path, ErrNotRegular, fi.Mode())
}

// ReadFile returns the content of a regular file, which it opens as [Open] does.
func ReadFile(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Read returns what comes from a file that an operator named, which may also be a
// pipe or a device; stdin for the name "-". It gives up when ctx is done, and after
// [MaxSize].
func Read(ctx context.Context, name string, stdin io.Reader) ([]byte, error) {
	type content struct {
		data []byte
		err  error
	}
	done := make(chan content, 1)
	go func() { // which stays where ctx ends first: nothing else ends a read
		data, err := read(name, stdin)
		done <- content{data, err}
	}()
	select {
	case c := <-done:
		return c.data, c.err
	case <-ctx.Done():
		return nil, fmt.Errorf("reading %s: %w", name, context.Cause(ctx))
	}
}

func read(name string, stdin io.Reader) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		stdin = f
	}
	data, err := io.ReadAll(io.LimitReader(stdin, MaxSize+1))
	if err == nil && len(data) > MaxSize {
		err = fmt.Errorf("%s: more than %d bytes", name, MaxSize)
	}
	return data, err
}
