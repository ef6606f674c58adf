package cri

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestMain(m *testing.M) {
	os.Exit(testns.Main(m))
}

// serve lets a runtime of that name listen at the socket.
func serve(t *testing.T, socket, name string) {
	t.Helper()
	mkdir(t, socket)
	stop, err := (&testcri.Runtime{Name: name}).Listen(socket)
	testns.Must(t, err)
	t.Cleanup(stop)
}

func mkdir(t *testing.T, socket string) {
	t.Helper()
	testns.Must(t, os.MkdirAll(filepath.Dir(socket), 0o700))
}

// The first runtime that answers is found, and without any it is said who does not.
func TestFind(t *testing.T) {
	testns.Need(t)
	testns.Mount(t, "tmpfs", "/run", "")
	find := func(socket, wantSocket, wantName string, want error) {
		t.Helper()
		got, err := Find(t.Context(), socket, time.Second)
		if got.Socket != wantSocket || got.Runtime != wantName || !errors.Is(err, want) {
			t.Errorf("Find(%q): got %q at %q, %v, want %q at %q, %v", socket, got.Runtime, got.Socket, err, wantName, wantSocket, want)
		}
	}
	usual := defaultSockets()
	find("", "", "", ErrNoRuntime)
	mkdir(t, usual[0])
	testns.Must(t, os.WriteFile(usual[0], nil, 0o600))
	find("", usual[0], "", ErrNoRuntime)
	serve(t, usual[1], "second")
	serve(t, usual[2], "third")
	find("", usual[1], "second", nil)
	find(usual[2], usual[2], "third", nil)
	find("unix://"+usual[2], "unix://"+usual[2], "third", nil)
	find(usual[0], usual[0], "", ErrNoRuntime)
}
