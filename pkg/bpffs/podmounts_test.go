package bpffs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// withPodMount returns open records of an attachment that has something recorded in
// the volume of a pod.
func withPodMount(tb testing.TB, target, volume string) (*Endpoints, Attachment) {
	tb.Helper()
	e := newEndpoints(tb)
	a := Attachment{"net", "pod", "eth0"}
	id, _, err := e.Allocate(a, "", "policy_")
	testns.Must(tb, err)
	record := inRecords(e, endpointsDir, formatID(id))
	mkdir(tb, filepath.Join(record, podMountsDir))
	link(tb, volume, filepath.Join(record, podVolumeLink))
	link(tb, target, filepath.Join(record, podMountsDir, readDir))
	return e, a
}

// decoy mounts a file system of somebody else, read-only, and returns the unique ID of
// the mount, 0 on a kernel without.
func decoy(tb testing.TB, fsType string) (id uint64, at string) {
	tb.Helper()
	at = tb.TempDir()
	testns.Mount(tb, fsType, at, "")
	mkdir(tb, filepath.Join(at, "theirs"))
	testns.Must(tb, unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	var st unix.Statx_t
	testns.Must(tb, unix.Statx(unix.AT_FDCWD, at, 0, unix.STATX_MNT_ID_UNIQUE, &st))
	if st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		return 0, at
	}
	return st.Mnt_id, at
}

// TestPodMountRecords: what is wrong in a record keeps it, and touches nothing.
func TestPodMountRecords(t *testing.T) {
	testns.Need(t)
	id, tmpfs := decoy(t, "tmpfs")
	_, bpf := decoy(t, "bpf")
	for _, tt := range []struct{ name, target, volume, says string }{
		{"gone", "mount-9007199254740993" + tmpfs, "uid/eth0", ""},
		{"gone, before Linux 6.8", "source-gone" + bpf, "uid/eth0", ""},
		{"no ID", bpf, "uid/eth0", "is not a mount in a volume"},
		{"no path", "mount-5", "uid/eth0", "is not a mount in a volume"},
		{"another kind of ID", "device-50" + bpf, "uid/eth0", "is not the ID of a mount"},
		{"no number", "mount-x" + bpf, "uid/eth0", "invalid syntax"},
		{"too large a number", "mount-99999999999999999999" + bpf, "uid/eth0", "out of range"},
		{"no source", "source-" + bpf, "uid/eth0", "is not the ID of a mount"},
		{"no bpffs", fmt.Sprintf("mount-%d%s", id, tmpfs), "uid/eth0", "recorded as a bpffs, but is not one"},
		{"no volume", "mount-9007199254740993" + bpf, "uid", "is not the volume of a pod"},
		{"a volume above", "mount-9007199254740993" + bpf, "../endpoints", "is not the volume of a pod"},
		{"too deep a volume", "mount-9007199254740993" + bpf, "uid/eth0/more", "is not the volume of a pod"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if (tt.name == "no bpffs" || tt.name == "gone") && id == 0 {
				t.Skip("this kernel has no unique IDs of mounts")
			}
			e, a := withPodMount(t, tt.target, tt.volume)
			err := e.Release(a)
			if tt.says == "" && err != nil || tt.says != "" && (!errors.Is(err, ErrPinStuck) || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("Release: got %v, want %q", err, tt.says)
			}
			if _, err := e.ID(a); (tt.says != "") != (err == nil) {
				t.Errorf("the record after Release: %v", err)
			}
			untouched(t, tmpfs, bpf)
		})
	}
}

// untouched wants the decoys to be as they were.
func untouched(tb testing.TB, decoys ...string) {
	tb.Helper()
	for _, at := range decoys {
		if !isThere(tb, filepath.Join(at, "theirs")) {
			tb.Errorf("%s has lost what was in it", at)
		}
		if err := os.Mkdir(filepath.Join(at, "more"), 0o700); !errors.Is(err, unix.EROFS) {
			tb.Errorf("writing to %s, which is read-only: %v", at, err)
		}
	}
}

// FuzzPodMountRecords: whatever the record says, releasing it ends, and takes nothing
// that is not of its kind.
func FuzzPodMountRecords(f *testing.F) {
	for _, target := range []string{"mount-1/", "/", "x", "source-/a", "mount-/", "source-a", "mount-0/../..", "mount-1//", "\xff/"} {
		f.Add(target, "uid/eth0")
		f.Add("mount-1/a", target)
	}
	f.Fuzz(func(t *testing.T, target, volume string) {
		if strings.ContainsRune(target+volume, 0) || target == "" || volume == "" || len(target) >= maxPath || len(volume) >= maxPath {
			return // no link can hold it
		}
		e, a := withPodMount(t, target, volume)
		_, at := decoy(t, "tmpfs")
		err := e.Release(a)
		if _, lookErr := e.ID(a); (err == nil) == (lookErr == nil) {
			t.Errorf("%q, %q: Release says %v, and the record is there: %v", target, volume, err, lookErr == nil)
		}
		untouched(t, at)
	})
}
