package cri

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// ask asks the socket for its version, for at most a second.
func ask(t *testing.T, socket string) error {
	t.Helper()
	c, err := New(socket)
	testns.Must(t, err)
	defer c.Close()
	c.timeout = time.Second
	_, err = c.Version(t.Context())
	return err
}

// listen returns a listener at a socket of the test.
func listen(t *testing.T) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	testns.Must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestNoAnswer(t *testing.T) {
	dead := listen(t)
	dead.SetUnlinkOnClose(false)
	dead.Close()
	file := filepath.Join(t.TempDir(), "file")
	testns.Must(t, os.WriteFile(file, nil, 0o600))
	other := listen(t) // speaks gRPC, but has none of the CRI's services
	server := grpc.NewServer()
	go func() { _ = server.Serve(other) }()
	t.Cleanup(server.Stop)
	for _, tt := range []struct {
		name, socket string
		want         error
		says         string
	}{
		{"nothing there", filepath.Join(t.TempDir(), "no"), ErrNoRuntime, "--cri-socket"},
		{"with a scheme", "unix://" + dead.Addr().String(), ErrNoRuntime, "refused"},
		{"dead", dead.Addr().String(), ErrNoRuntime, "start the runtime"},
		{"a file", file, ErrNoRuntime, "refused"},
		{"hangs", listen(t).Addr().String(), nil, "no answer within 1"},
		{"another service", other.Addr().String(), ErrNoCRI, "kubelet uses"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			err := ask(t, tt.socket)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("no answer took %v, want about a second at most", took)
			}
			path := strings.TrimPrefix(tt.socket, "unix://")
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Fatalf("error: %v, want %v", err, tt.want)
			}
			if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error: %v, want %q and the socket in it", err, tt.says)
			}
		})
	}
}

// A caller that gives up is not held by a runtime that does not answer.
func TestCancelled(t *testing.T) {
	c, err := New(listen(t).Addr().String())
	testns.Must(t, err)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err = c.Sandboxes(ctx)
	if took := time.Since(start); err == nil || took > answerTimeout/2 {
		t.Errorf("Sandboxes: %v after %v, want an error at once", err, took)
	}
}

func TestPresent(t *testing.T) {
	there := listen(t).Addr().String()
	got, err := present([]string{there + "/below", there, filepath.Join(t.TempDir(), "no")})
	if diff := cmp.Diff([]string{there}, got); diff != "" || err != nil {
		t.Errorf("present: %v (-want +got):\n%s", err, diff)
	}
	named, err := Sockets("unix://" + there)
	if diff := cmp.Diff([]string{"unix://" + there}, named); diff != "" || err != nil {
		t.Errorf("Sockets: %v (-want +got):\n%s", err, diff)
	}
	if _, err := present([]string{"/" + strings.Repeat("x", 300)}); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("present of what cannot be looked at: %v, want %v", err, syscall.ENAMETOOLONG)
	}
}
