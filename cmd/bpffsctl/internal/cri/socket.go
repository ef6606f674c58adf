package cri

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Why there is no answer from a socket.
var (
	// ErrNoRuntime: nothing listens at the socket.
	ErrNoRuntime = errors.New("no container runtime listens")
	// ErrNoCRI: what listens does not speak the CRI, as the containerd that Docker
	// brings.
	ErrNoCRI = errors.New("it does not speak the CRI")
)

// ask makes one call of at most the client's timeout. The connection is tried
// before, for its own error says more than gRPC's about it.
func (c *Client) ask(ctx context.Context, what string, call func(context.Context) error) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := dial(ctx, c.socket)
	if err == nil {
		conn.Close() //nolint:errcheck // it was only tried
		err = call(ctx)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("asking the runtime at the CRI socket %s for %s: %w", c.socket, what, explain(err, time.Since(start)))
}

// explain says of an error that came after a time what to do about it.
func explain(err error, after time.Duration) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run it as root", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: %w: start the runtime, or name its socket with --cri-socket", ErrNoRuntime, err)
	case status.Code(err) == codes.Unimplemented:
		return fmt.Errorf("%w: %w: name the socket of the runtime that kubelet uses with --cri-socket", ErrNoCRI, err)
	case status.Code(err) == codes.DeadlineExceeded:
		return fmt.Errorf("no answer within %v: check the runtime, or name another socket with --cri-socket: %w",
			after.Round(time.Second/10), err)
	}
	return err
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}
