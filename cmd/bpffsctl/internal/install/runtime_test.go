package install

import (
	"path/filepath"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testcri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// A runtime that is being restarted is what it was, so that the network does not
// change from one way to the other and back.
func TestRuntimeIsRestarted(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cri")
	r := Runtime{Socket: socket}
	if got := r.Version(t.Context()); got != (cri.Version{}) {
		t.Errorf("before anything answers: got %v, want nothing", got)
	}
	stop, err := (&testcri.Runtime{}).Listen(socket)
	testns.Must(t, err)
	want := cri.Version{Runtime: "containerd", Version: "v2.4.2"}
	if got := r.Version(t.Context()); got != want {
		t.Errorf("while it answers: got %v, want %v", got, want)
	}
	stop()
	if got := r.Version(t.Context()); got != want {
		t.Errorf("while it is restarted: got %v, want %v as before", got, want)
	}
}
