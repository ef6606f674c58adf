// Package cri asks a container runtime over its CRI socket what it is and which
// pods it has.
package cri

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// answerTimeout is how long a runtime may take to answer one call.
	answerTimeout = 10 * time.Second
	// maxAnswer is what kubelet accepts as one answer, too.
	maxAnswer = 16 << 20
)

// A Client asks the runtime behind one socket.
type Client struct {
	socket  string
	timeout time.Duration
	conn    *grpc.ClientConn
	service runtime.RuntimeServiceClient
}

// New returns a client of the runtime that listens at socket, a path with or
// without unix:// before it. It does not connect yet.
func New(socket string) (*Client, error) {
	socket = strings.TrimPrefix(socket, "unix://")
	conn, err := grpc.NewClient("passthrough:///"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, fmt.Errorf("CRI socket %s: %w", socket, err)
	}
	return &Client{socket, answerTimeout, conn, runtime.NewRuntimeServiceClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Version returns what the runtime says it is.
func (c *Client) Version(ctx context.Context) (v Version, err error) {
	err = c.ask(ctx, "its version", func(ctx context.Context) error {
		r, err := c.service.Version(ctx, &runtime.VersionRequest{})
		v = Version{r.GetRuntimeName(), r.GetRuntimeVersion()}
		return err
	})
	return v, err
}
