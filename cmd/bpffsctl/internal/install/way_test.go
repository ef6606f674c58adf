package install

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// The runtimes that differ in what they do with files of networks.
func reads() cri.Version   { return cri.Version{Runtime: "containerd", Version: "v2.4.2"} }
func ignores() cri.Version { return cri.Version{Runtime: "containerd", Version: "v1.7.27"} }
func noDEL() cri.Version   { return cri.Version{Runtime: "cri-o", Version: "1.37.0"} }
func nothing() cri.Version { return cri.Version{} }

// A row of ways is a network, what is asked for, and whether the network gets a
// drop-in file, or why nothing is done.
type wayRow struct {
	plugins, dropIns string // types; of drop-in files their names
	mode             Mode
	lose             bool
	runtime          func() cri.Version
	dropIn           bool
	refused          string
}

// Only a network without the plugin is decided by what the runtime does; every other
// one keeps its way, and what would take the paths from a plugin is refused.
func TestWay(t *testing.T) {
	for _, row := range []wayRow{
		{"bridge tuning", "", Auto, false, reads, true, ""},
		{"bridge tuning", "", Auto, false, ignores, false, ""},
		{"bridge tuning", "", Auto, false, noDEL, false, ""},
		{"bridge tuning", "", Auto, false, nothing, false, ""},
		{"bridge bpffs datapath", "", Auto, false, reads, false, ""},
		{"bridge bpffs", "", Auto, false, reads, false, ""},
		{"bridge bpffs", "bpffs.conf", Auto, false, reads, false, ""},
		{"bridge", "bpffs.conf", Auto, false, reads, true, ""},
		{"bridge", "bpffs.conf", Auto, false, nothing, true, ""},
		{"bridge", "bpffs.conf", Auto, false, ignores, false, "containerd 1.7.27 ignores drop-in files"},
		{"bridge", "bpffs.conf", Auto, false, noDEL, false, "not for DEL"},
		{"bridge", "bpffs.conf", Conflist, false, noDEL, false, ""},
		{"bridge", "", DropIn, false, noDEL, false, "not for DEL"},
		{"bridge", "", DropIn, false, ignores, false, "ignores drop-in files"},
		{"bridge tuning", "", DropIn, false, nothing, true, ""},
		{"bridge bpffs", "", DropIn, false, reads, true, ""},
		{"bridge tuning bpffs", "", DropIn, false, reads, true, ""},
		{"bridge bpffs datapath", "", DropIn, false, reads, false, "datapath would lose the paths"},
		{"bridge bpffs tuning datapath", "", DropIn, false, nothing, false, "tuning, datapath would lose the paths"},
		{"bridge bpffs", "10-other.conf", DropIn, false, reads, false, "10-other would lose the paths"},
		{"bridge bpffs", "other.conf", DropIn, false, reads, true, ""},
		{"bridge bpffs datapath", "", DropIn, true, reads, true, ""},
	} {
		t.Run(row.plugins+"/"+row.dropIns+"/"+string(row.mode)+"/"+row.runtime().String(), row.test)
	}
}

func (row wayRow) test(t *testing.T) {
	dir := t.TempDir()
	testns.Must(t, os.Mkdir(filepath.Join(dir, "net"), 0o755))
	put(t, filepath.Join(dir, "10.conflist"), `{"name":"net","cniVersion":"1.0.0","plugins":[{"type":"`+strings.ReplaceAll(row.plugins, " ", `"},{"type":"`)+`"}]}`)
	for name := range strings.FieldsSeq(row.dropIns) {
		put(t, filepath.Join(dir, "net", name), `{"type":"`+strings.TrimSuffix(name, ".conf")+`"}`)
	}
	n, err := findNetwork(dir, "", false)
	testns.Must(t, err)
	dropIn, err := Installer{Mode: row.mode, LosePaths: row.lose}.way(n, row.runtime())
	switch {
	case dropIn != row.dropIn, (err != nil) != (row.refused != ""):
		t.Errorf("got %v, %v, want %v, %q", dropIn, err, row.dropIn, row.refused)
	case err != nil && (!strings.Contains(err.Error(), row.refused) || !strings.Contains(err.Error(), "--mode conflist")):
		t.Errorf("got %q, want %q in it, and --mode conflist", err, row.refused)
	}
}

// A runtime that passes by what it cannot read takes the next network, and so does
// install.
func TestNetworkAfterABrokenOne(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "10.conflist"), `{"name":`)
	put(t, filepath.Join(dir, "20.conflist"), `{"name":"net","plugins":[{"type":"bridge"}]}`)
	if n, err := findNetwork(dir, "", noDEL().PassesBroken()); err != nil || n.List.Name != "net" {
		t.Errorf("with CRI-O: got %q, %v, want net", n.List.Name, err)
	}
	for _, runtime := range []cri.Version{reads(), ignores(), nothing()} {
		if n, err := findNetwork(dir, "", runtime.PassesBroken()); !errors.Is(err, conflist.ErrInvalid) {
			t.Errorf("with %v: got %q, %v, want %v", runtime, n.List.Name, err, conflist.ErrInvalid)
		}
	}
}
