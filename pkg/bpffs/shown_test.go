package bpffs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestEndpointShown: an endpoint says what the pod sees, and leads to what is mounted,
// wherever that is.
func TestEndpointShown(t *testing.T) {
	for _, row := range []struct {
		name  string
		pod   map[string]PodAccess // by map
		token bool
		want  []string
	}{
		{"no volume", nil, false, nil},
		{"to read", map[string]PodAccess{"a_": PodReads}, false, []string{"maps"}},
		{"to read and to write", map[string]PodAccess{"a_": PodReads, "b_": PodWrites}, false, []string{"maps", "maps-rw"}},
		{"with a token", map[string]PodAccess{"a_": PodReads, "b_": PodWrites}, true, []string{"maps-rw", "token"}},
		{"only a token", map[string]PodAccess{"a_": ""}, true, []string{"token"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := newEndpoints(t)
			volume := newVolume(t, row.token)
			id := shownIn(t, e, volume, row.pod)
			ep, err := e.Endpoint(id)
			testns.Must(t, err)
			if uid := map[bool]string{true: "", false: "0a1b-2c.d"}[row.pod == nil]; ep.PodUID != uid {
				t.Errorf("got the pod %q, want %q", ep.PodUID, uid)
			}
			var got []string
			for _, m := range ep.PodMounts {
				got = append(got, m.Name)
				if want := filepath.Join(volume.dir.Name(), "eth0", m.Name); m.Path != want || m.IsToken() != (m.Name == "token") {
					t.Errorf("got %+v, want the path %s", m, want)
				}
				opens(t, m, m.Path)
				testns.Must(t, os.Rename(filepath.Dir(m.Path), filepath.Dir(m.Path)+"x"))
				opens(t, m, strings.Replace(m.Path, "eth0", "eth0x", 1))
				testns.Must(t, os.Rename(filepath.Dir(m.Path)+"x", filepath.Dir(m.Path)))
				testns.Must(t, unix.Unmount(m.Path, unix.MNT_DETACH))
				if _, err := m.Open(); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Open after umount: got %v, want %v", err, fs.ErrNotExist)
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("directories (-want +got):\n%s", diff)
			}
		})
	}
}

// opens wants the mount to be at the path.
func opens(t *testing.T, m PodMount, path string) {
	t.Helper()
	f, err := m.Open()
	if err != nil || f.Name() != path {
		t.Errorf("Open of %+v: got %v, %v, want it at %s", m, f, err, path)
	}
	f.Close()
}

// newVolume returns the volume of a pod.
func newVolume(t *testing.T, token bool) *PodVolume {
	t.Helper()
	needVolumes(t)
	kubelet := t.TempDir()
	testns.Mount(t, "tmpfs", kubelet, "mode=0755")
	const uid = "0a1b-2c"
	mkdir(t, filepath.Join(kubelet, "pods", uid, "volumes/kubernetes.io~empty-dir/bpffs"))
	v, err := OpenPodVolume(PodSpec{KubeletDir: kubelet, Volume: "bpffs", UID: uid, IfName: "eth0"})
	testns.Must(t, err)
	v.uid += ".d" // which the records escape
	t.Cleanup(func() { v.Close() })
	if token {
		context, err := bpfmount.Open()
		testns.Must(t, err)
		testns.Must(t, v.PrepareToken(context))
	}
	return v
}

// TestOpenPodVolumeStaysInside: no name in a PodSpec leads out of the pod's directory.
func TestOpenPodVolumeStaysInside(t *testing.T) {
	for _, name := range []string{"", ".", "..", "/", "/eth0", "eth0/", "../eth0", "a/b", "a/.."} {
		for _, s := range []PodSpec{{Volume: name, UID: "a", IfName: "eth0"}, {Volume: "bpffs", UID: "a", IfName: name}, {Volume: "bpffs", UID: name, IfName: "eth0"}} {
			s.KubeletDir = t.TempDir()
			if _, err := OpenPodVolume(s); !errors.Is(err, ErrPodVolume) {
				t.Errorf("OpenPodVolume(%+v): got %v, want %v", s, err, ErrPodVolume)
			}
		}
	}
}

// TestTokenThatIsNotPrepared: a caller that has forgotten it learns that from an error.
func TestTokenThatIsNotPrepared(t *testing.T) {
	for name, access := range map[string]PodAccess{"no maps": "", "maps to read": PodReads, "maps to write": PodWrites} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoints(t)
			v := newVolume(t, false)
			v.Token = true
			id := shownIn(t, e, v, nil)
			decls := []MapDecl{{Name: "a_", Pod: access, Spec: MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1}}}
			err := e.ShowPod(id, false, "", decls, v)
			if !errors.Is(err, ErrPodVolume) || !strings.Contains(err.Error(), v.place(tokenDir)) {
				t.Errorf("ShowPod: got %v, want %v with %s", err, ErrPodVolume, v.place(tokenDir))
			}
		})
	}
}

// shownIn makes an endpoint that shows its maps in the volume, if it has any.
func shownIn(t *testing.T, e *Endpoints, v *PodVolume, pod map[string]PodAccess) uint16 {
	t.Helper()
	var decls []MapDecl
	var names []string
	for _, name := range []string{"a_", "b_"} {
		decls = append(decls, MapDecl{Name: name, Pod: pod[name], Spec: MapSpec{Type: unix.BPF_MAP_TYPE_ARRAY, KeySize: 4, ValueSize: 4, MaxEntries: 1}})
		names = append(names, name)
	}
	made, err := NewMaps(decls)
	testns.Must(t, err)
	defer made.Close()
	id, _, err := e.Allocate(Attachment{"net", "pod", "eth0"}, "", names...)
	testns.Must(t, err)
	_, err = e.PinMaps(id, "", decls, made)
	testns.Must(t, err)
	if pod != nil {
		testns.Must(t, e.ShowPod(id, false, "", decls, v))
	}
	return id
}

// TestEndpointShownBroken: a record that DEL could not read is not whole.
func TestEndpointShownBroken(t *testing.T) {
	for _, row := range []struct{ target, volume string }{
		{"mount-5", "uid/eth0"}, {"/a", "uid/eth0"}, {"mount-5/a", "uid"}, {"mount-5/a", "../eth0"}, {"mount-5/a", "u%2/eth0"},
	} {
		e, a := withPodMount(t, row.target, row.volume)
		id, err := e.ID(a)
		testns.Must(t, err)
		if ep, err := e.Endpoint(id); err == nil {
			t.Errorf("%+v: got %+v, want an error", row, ep)
		}
	}
}

// TestMounts: what the mount table has of ours is told from what others mount.
func TestMounts(t *testing.T) {
	e := newEndpoints(t)
	v := newVolume(t, true)
	shownIn(t, e, v, map[string]PodAccess{"a_": PodReads, "b_": PodWrites})
	for i, source := range []string{"bpffs", "bpffs-0123456789abcde", "bpffs-0123456789ABCDEF", "bpffs-0123456789abcdefg", "xbpffs-0123456789abcdef"} {
		at := filepath.Join(v.dir.Name(), fmt.Sprint(i))
		mkdir(t, at)
		testns.Must(t, unix.Mount(source, at, "bpf", 0, ""))
	}
	tmpfs := filepath.Join(v.dir.Name(), "tmpfs")
	mkdir(t, tmpfs)
	testns.Must(t, unix.Mount("bpffs-0123456789abcdef", tmpfs, "tmpfs", 0, ""))
	all, err := podfs.Mounts()
	testns.Must(t, err)
	var got []string
	for _, m := range all {
		got = append(got, m.Path)
		var st unix.Stat_t
		testns.Must(t, unix.Stat(m.Path, &st))
		if st.Dev != m.Device {
			t.Errorf("%s: got the number %d, want %d", m.Path, m.Device, st.Dev)
		}
	}
	slices.Sort(got)
	want := []string{v.place("maps-rw"), v.place("token")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mounts of ours (-want +got):\n%s", diff)
	}
}
