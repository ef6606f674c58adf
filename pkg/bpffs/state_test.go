package bpffs

import (
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
)

func TestStateOf(t *testing.T) {
	bpf, tmpfs := mounts.Layer{FSType: "bpf", Root: "/"}, mounts.Layer{FSType: "tmpfs", Root: "/"}
	part := func(fsType string) mounts.Layer { return mounts.Layer{FSType: fsType, Root: "/part"} }
	for _, row := range []struct {
		name   string
		layers []mounts.Layer
		want   state
	}{
		{"nothing", nil, unmounted},
		{"bpffs", []mounts.Layer{bpf}, mounted},
		{"tmpfs", []mounts.Layer{tmpfs}, foreign},
		{"part of sysfs", []mounts.Layer{part("sysfs")}, foreign},
		{"bpffs over a part of sysfs", []mounts.Layer{bpf, part("sysfs")}, mounted},
		{"bpffs over a part of a tmpfs", []mounts.Layer{bpf, part("tmpfs")}, mounted},
		{"part of sysfs over a bpffs", []mounts.Layer{part("sysfs"), bpf}, stacked},
		{"part of a bpffs", []mounts.Layer{part("bpf")}, mounted},
		{"two parts of a bpffs", []mounts.Layer{part("bpf"), part("bpf")}, mounted},
		{"bpffs over bpffs", []mounts.Layer{bpf, bpf}, stacked},
		{"tmpfs over bpffs", []mounts.Layer{tmpfs, bpf}, stacked},
		{"bpffs over tmpfs", []mounts.Layer{bpf, tmpfs}, stacked},
		{"three", []mounts.Layer{bpf, tmpfs, bpf}, stacked},
		{"bpffs over a part over bpffs", []mounts.Layer{bpf, part("sysfs"), bpf}, stacked},
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
