package cri

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// defaultSockets returns where runtimes listen unless configured otherwise:
// containerd, CRI-O, k3s.
func defaultSockets() []string {
	return []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/k3s/containerd/containerd.sock"}
}

// Sockets returns the named sockets, or if none is named those of the usual ones
// that are there: [ErrNoRuntime] if none is. Whether anything listens is not tried.
func Sockets(named ...string) ([]string, error) {
	if len(named) > 0 {
		return named, nil
	}
	there, err := present(defaultSockets())
	if err == nil && len(there) == 0 {
		err = fmt.Errorf("%w: there is no %s: name its socket with --cri-socket", ErrNoRuntime, strings.Join(defaultSockets(), ", no "))
	}
	return there, err
}

func present(sockets []string) (there []string, err error) {
	for _, s := range sockets {
		_, err := os.Stat(s)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for CRI sockets: %w", err)
		}
		there = append(there, s)
	}
	return there, nil
}

// A Runtime is what listens at a CRI socket.
type Runtime struct {
	Version

	Socket string // empty if there is none at the usual places
	PID    int    // of the process that listens there; 0 if that is not known
}

// Find returns the runtime at the socket, or with an empty one the first that
// answers of those at the usual places. Each may take as long as the patience. With
// an error Socket is the first that did not answer.
func Find(ctx context.Context, socket string, patience time.Duration) (Runtime, error) {
	var named []string
	if socket != "" {
		named = []string{socket}
	}
	sockets, err := Sockets(named...)
	if err != nil {
		return Runtime{}, err
	}
	var first error
	for _, s := range sockets {
		r := Runtime{Socket: s}
		err := with(ctx, s, patience, func(ctx context.Context, c *Client) (err error) {
			r.Version, err = c.Version(ctx)
			return err
		})
		if err == nil {
			r.PID, _ = peerOf(strings.TrimPrefix(s, "unix://"))
			return r, nil
		}
		if first == nil {
			first = err
		}
	}
	return Runtime{Socket: sockets[0]}, first
}

// Status returns what the runtime says of its network, within the patience. Of
// CRI-O, which says its directories elsewhere, it has those too, unless it does not
// answer there.
func (r Runtime) Status(ctx context.Context, patience time.Duration) (s Status, err error) {
	err = with(ctx, r.Socket, patience, func(ctx context.Context, c *Client) (err error) {
		s, err = c.Status(ctx)
		if err == nil && r.Runtime == crio {
			s.Dirs, _ = c.crioDirs(ctx)
		}
		return err
	})
	return s, err
}

// with connects to the socket for as long as do takes.
func with(ctx context.Context, socket string, patience time.Duration, do func(context.Context, *Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := New(socket)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(ctx, c)
}
