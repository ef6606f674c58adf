package inventory

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/testadd"
	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// inVolume are the maps of decls, which the pod may see.
func inVolume(read, write bpffs.PodAccess) []bpffs.MapDecl {
	maps := decls()
	maps[0].Pod, maps[1].Pod = read, write
	return maps
}

// shownAt returns a node with one pod that sees the maps in its volume.
func shownAt(t *testing.T, token bool, maps []bpffs.MapDecl) (root string, v testadd.Volume) {
	t.Helper()
	root = testns.BPFFS(t)
	kubelet := t.TempDir()
	testns.Mount(t, "tmpfs", kubelet, "mode=0755")
	v = testadd.Volume{KubeletDir: kubelet, UID: "0a1b-2c"}
	if token {
		var err error
		v.Token, err = bpfmount.Open()
		testns.Must(t, err)
	}
	id, err := testadd.Add(t.Context(), root, pods(1)[0], bpffs.Details{NetNS: liveNetNS}, maps...)
	testns.Must(t, err)
	testns.Must(t, v.Show(t.Context(), root, id, maps...))
	return root, v
}

func TestViews(t *testing.T) {
	unmount := func(t *testing.T, path string) {
		t.Helper()
		testns.Must(t, syscall.Unmount(path, syscall.MNT_DETACH))
	}
	policy, stats := []string{"policy_"}, []string{"stats_"}
	for _, row := range []struct {
		name        string
		read, write bpffs.PodAccess
		token       bool
		change      func(t *testing.T, dir string)
		want        []View // their paths below the volume
		states      []State
	}{
		{"nothing to see", "", "", false, nil, nil, []State{OK}},
		{"to write", "", bpffs.PodWrites, false, nil, []View{{Directory: "eth0/maps-rw", Maps: stats, Path: "eth0/maps-rw", Mounted: true}}, []State{OK}},
		{"both", bpffs.PodReads, bpffs.PodWrites, false, nil, []View{
			{Directory: "eth0/maps", Maps: policy, Path: "eth0/maps", Mounted: true},
			{Directory: "eth0/maps-rw", Maps: stats, Path: "eth0/maps-rw", Mounted: true},
		}, []State{OK}},
		{"a token", bpffs.PodReads, bpffs.PodWrites, true, func(t *testing.T, dir string) {
			t.Helper()
			testns.Must(t, os.Mkdir(filepath.Join(dir, "eth0/token/theirs"), 0o700))
		}, []View{
			{Directory: "eth0/maps-rw", Maps: stats, Path: "eth0/maps-rw", Mounted: true},
			{Directory: "eth0/token", Token: true, Path: "eth0/token", Mounted: true},
		}, []State{OK}},
		{"moved", bpffs.PodReads, "", false, func(t *testing.T, dir string) {
			t.Helper()
			testns.Must(t, os.Rename(filepath.Join(dir, "eth0"), filepath.Join(dir, "theirs")))
		}, []View{{Directory: "eth0/maps", Maps: policy, Path: "theirs/maps", Mounted: true}}, []State{OK}},
		{"one unmounted", bpffs.PodReads, bpffs.PodWrites, false, func(t *testing.T, dir string) { t.Helper(); unmount(t, dir+"/eth0/maps") }, []View{
			{Directory: "eth0/maps", Path: "eth0/maps"},
			{Directory: "eth0/maps-rw", Maps: stats, Path: "eth0/maps-rw", Mounted: true},
		}, []State{VolumeMissing}},
		{"the token unmounted", "", "", true, func(t *testing.T, dir string) { t.Helper(); unmount(t, dir+"/eth0/token") }, []View{
			{Directory: "eth0/token", Token: true, Path: "eth0/token"},
		}, []State{VolumeMissing}},
		{"another one in its place", "", bpffs.PodWrites, false, func(t *testing.T, dir string) {
			t.Helper()
			unmount(t, dir+"/eth0/maps-rw")
			testns.Mount(t, "bpf", dir+"/eth0/maps-rw", "")
		}, []View{{Directory: "eth0/maps-rw", Path: "eth0/maps-rw"}}, []State{VolumeMissing}},
		{"the volume removed", "", bpffs.PodWrites, false, func(t *testing.T, dir string) {
			t.Helper()
			unmount(t, dir+"/eth0/maps-rw")
			testns.Must(t, os.RemoveAll(dir))
		}, []View{{Directory: "eth0/maps-rw", Path: "eth0/maps-rw"}}, []State{VolumeMissing}},
	} {
		t.Run(row.name, func(t *testing.T) {
			root, v := shownAt(t, row.token, inVolume(row.read, row.write))
			if row.change != nil {
				row.change(t, v.Path())
			}
			for i := range row.want {
				row.want[i].Path = filepath.Join(v.Path(), row.want[i].Path)
			}
			got := one(t, root)
			if diff := cmp.Diff(row.want, got.Views) + cmp.Diff(row.states, got.States); diff != "" || got.PodUID != v.UID {
				t.Errorf("got the pod %q, want %q; views and states (-want +got):\n%s", got.PodUID, v.UID, diff)
			}
		})
	}
}

// What hides a view is not taken for its absence.
func TestViewHidden(t *testing.T) {
	for _, over := range []string{"eth0/maps-rw", "eth0", "."} {
		root, v := shownAt(t, false, inVolume("", bpffs.PodWrites))
		testns.Mount(t, "tmpfs", filepath.Join(v.Path(), over), "")
		if got := one(t, root); !got.Is(Unreadable) || got.Is(VolumeMissing) || !strings.Contains(got.Error, "something is mounted over") {
			t.Errorf("a tmpfs over %s: got %v and %q, want what hides the view", over, got.States, got.Error)
		}
	}
}

func TestPrintViews(t *testing.T) {
	e := Endpoint{Identity: Identity{ID: 42, Interface: "eth0", Root: "/b"}, States: []State{VolumeMissing}, PodUID: "0a1b", Views: []View{
		{Directory: "eth0/maps", Maps: []string{"a_", "b_"}, Path: "/v/eth0/maps", Mounted: true},
		{Directory: "eth0/maps-rw", Path: "/v/eth0/maps-rw"},
		{Directory: "eth0/token", Token: true, Path: "/v/eth0/token", Mounted: true},
	}}
	var b bytes.Buffer
	testns.Must(t, e.PrintDetail(&b))
	_, got, _ := strings.Cut(b.String(), "\n\n")
	const want = `  POD SEES      CONTENTS  MOUNTED  PATH ON THE NODE
  eth0/maps     a_,b_     yes      /v/eth0/maps
  eth0/maps-rw  -         no       /v/eth0/maps-rw
  eth0/token    token     yes      /v/eth0/token

  A pod with a token does not see its read-only maps: its programs could write to them.
`
	if diff := cmp.Diff(want, got); diff != "" || !strings.Contains(b.String(), "0a1b") {
		t.Errorf("PrintDetail: got %q (-want +got):\n%s", b.String(), diff)
	}
}

// Only what no record names is unrecorded, whatever happened to it.
func TestUnrecorded(t *testing.T) {
	forget := func(t *testing.T, root string) {
		t.Helper()
		testns.Must(t, os.RemoveAll(root+"/cni/endpoints"))
	}
	for _, row := range []struct {
		name   string
		change func(t *testing.T, root, dir string)
		want   []string // below the volume
	}{
		{"all recorded", func(*testing.T, string, string) {}, nil},
		{"recorded, and bound elsewhere", func(t *testing.T, _, dir string) {
			t.Helper()
			testns.Bind(t, dir+"/eth0/maps", t.TempDir())
		}, nil},
		{"moved", func(t *testing.T, _, dir string) {
			t.Helper()
			testns.Must(t, os.Rename(dir+"/eth0", dir+"/theirs"))
		}, nil},
		{"a bpffs of another's", func(t *testing.T, _, dir string) {
			t.Helper()
			testns.Must(t, os.Mkdir(dir+"/other", 0o700))
			testns.Mount(t, "bpf", dir+"/other", "")
		}, nil},
		{"the records are gone", func(t *testing.T, root, _ string) { t.Helper(); forget(t, root) }, []string{"eth0/maps", "eth0/maps-rw"}},
		{"one mount is not recorded", func(t *testing.T, root, _ string) {
			t.Helper()
			found, err := filepath.Glob(root + "/cni/endpoints/*/pod-mounts/maps-rw")
			testns.Must(t, err)
			remove(t, found[0])
		}, []string{"eth0/maps-rw"}},
		{"gone and moved", func(t *testing.T, root, dir string) {
			t.Helper()
			forget(t, root)
			testns.Must(t, os.Rename(dir+"/eth0", dir+"/theirs"))
		}, []string{"theirs/maps", "theirs/maps-rw"}},
		{"gone and unmounted", func(t *testing.T, root, dir string) {
			t.Helper()
			forget(t, root)
			testns.Must(t, syscall.Unmount(dir+"/eth0/maps", syscall.MNT_DETACH))
		}, []string{"eth0/maps-rw"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			root, v := shownAt(t, false, inVolume(bpffs.PodReads, bpffs.PodWrites))
			row.change(t, root, v.Path())
			var want []string
			for _, dir := range row.want {
				want = append(want, filepath.Join(v.Path(), dir))
			}
			got, err := Unrecorded(func() ([]Record, error) { return Records(t.Context(), at(root)) })
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("got %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// What is mounted or unmounted while the records are read is not taken for unrecorded.
func TestUnrecordedMeanwhile(t *testing.T) {
	for _, row := range []struct {
		name string
		do   func(t *testing.T, root, dir string)
	}{
		{"an ADD after the records were read", func(t *testing.T, _, _ string) { t.Helper(); shownAt(t, true, inVolume("", "")) }},
		{"a mount that is unmounted", func(t *testing.T, _, dir string) {
			t.Helper()
			testns.Must(t, syscall.Unmount(dir+"/eth0/maps-rw", 0))
		}},
		{"a DEL after the records were read", func(t *testing.T, root, _ string) { t.Helper(); release(t, root, pods(1)[0]) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			root, v := shownAt(t, false, inVolume("", bpffs.PodWrites))
			got, err := Unrecorded(func() ([]Record, error) {
				records, err := Records(t.Context(), at(root))
				row.do(t, root, v.Path())
				return records, err
			})
			if len(got) > 0 || err != nil {
				t.Errorf("got %q, %v, want nothing", got, err)
			}
		})
	}
}

// What a record that cannot be read names is not known.
func TestUnrecordedUnknown(t *testing.T) {
	root, v := shownAt(t, false, inVolume("", bpffs.PodWrites))
	read := func() ([]Record, error) { return Records(t.Context(), at(root)) }
	testns.Must(t, os.Mkdir(root+"/cni/endpoints/00001", 0o700))
	if got, err := Unrecorded(read); err == nil || len(got) > 0 {
		t.Errorf("with a record that cannot be read: got %q, %v, want an error", got, err)
	}
	testns.Must(t, os.Remove(root+"/cni/endpoints/00001"))
	testns.Mount(t, "tmpfs", v.Path(), "")
	if got, err := Unrecorded(read); err == nil || len(got) > 0 {
		t.Errorf("with a recorded mount that is hidden: got %q, %v, want an error", got, err)
	}
	if got, err := Unrecorded(func() ([]Record, error) { return nil, os.ErrPermission }); err == nil || len(got) > 0 {
		t.Errorf("without the records: got %q, %v, want an error", got, err)
	}
}
