package bpffs

import (
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
)

func TestStateOf(t *testing.T) {
	layer := func(fsType, root string, device uint64) mounts.Layer {
		return mounts.Layer{FSType: fsType, Root: root, Device: device}
	}
	bpf, other, tmpfs := layer("bpf", "/", 1), layer("bpf", "/", 2), layer("tmpfs", "/", 3)
	bpfPart, sysfsPart, tmpfsPart := layer("bpf", "/part", 1), layer("sysfs", "/part", 4), layer("tmpfs", "/part", 3)
	autofs := layer("autofs", "/", 5)
	for _, row := range []struct {
		name   string
		layers []mounts.Layer // the visible one first
		want   state
	}{
		{"nothing", nil, unmounted},
		{"bpffs", []mounts.Layer{bpf}, mounted},
		{"tmpfs", []mounts.Layer{tmpfs}, foreign},
		{"part of sysfs", []mounts.Layer{sysfsPart}, foreign},
		{"bpffs over a part of sysfs", []mounts.Layer{bpf, sysfsPart}, mounted},
		{"bpffs over a part of a tmpfs", []mounts.Layer{bpf, tmpfsPart}, mounted},
		{"part of sysfs over a bpffs", []mounts.Layer{sysfsPart, bpf}, stacked},
		{"part of a bpffs", []mounts.Layer{bpfPart}, mounted},
		{"two parts of a bpffs", []mounts.Layer{bpfPart, bpfPart}, mounted},
		{"bpffs over another bpffs", []mounts.Layer{bpf, other}, stacked},
		{"tmpfs over bpffs", []mounts.Layer{tmpfs, bpf}, stacked},
		{"bpffs over tmpfs", []mounts.Layer{bpf, tmpfs}, stacked},
		{"three", []mounts.Layer{bpf, tmpfs, other}, stacked},
		{"bpffs over a part over another bpffs", []mounts.Layer{bpf, sysfsPart, other}, stacked},

		{"bpffs bound onto itself", []mounts.Layer{bpf, bpf}, mounted},
		{"bpffs bound onto itself, twice", []mounts.Layer{bpf, bpf, bpf}, mounted},
		{"bpffs bound onto itself over another", []mounts.Layer{bpf, bpf, other}, stacked},
		{"tmpfs bound onto itself", []mounts.Layer{tmpfs, tmpfs}, foreign},
		{"bpffs that an autofs led to", []mounts.Layer{bpf, autofs}, mounted},
		{"bpffs bound onto itself that an autofs led to", []mounts.Layer{bpf, bpf, autofs}, mounted},
		{"only an autofs", []mounts.Layer{autofs}, foreign},
		{"part of a bpffs over the whole", []mounts.Layer{bpfPart, bpf}, stacked},
		{"bpffs over a part of it", []mounts.Layer{bpf, bpfPart}, mounted},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := stateOf(row.layers); got != row.want {
				t.Errorf("stateOf(%v): got %d, want %d", row.layers, got, row.want)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	got := describe([]mounts.Layer{{FSType: "tmpfs", Root: "/"}, {FSType: "bpf", Root: "/part"}})
	if want := "tmpfs (/) over bpf (/part)"; got != want {
		t.Errorf("describe: got %q, want %q", got, want)
	}
}
