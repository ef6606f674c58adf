package bpffs

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cni-bpffs/cni-bpffs/internal/bpf"
	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

func TestKernelName(t *testing.T) {
	for _, row := range []struct{ name, want string }{
		{"m_", "m_"},
		{"abcdefghijklmno", "abcdefghijklmno"},
		{"abcdefghijklmnop", "abcdefghijklmno"},
		{"ct-4 x", "ct_4_x"},
		{"AZaz09_@[`{", "AZaz09_____"},
		{"täb", "t_b"},
		{"\xff\xfe", "__"},
	} {
		if got := kernelName(row.name); got != row.want {
			t.Errorf("kernelName(%q): got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestWhyRefused(t *testing.T) {
	for _, row := range []struct {
		err  error
		want string
	}{
		{os.NewSyscallError("bpf", syscall.EPERM), "CAP_BPF"},
		{os.NewSyscallError("bpf", syscall.EINVAL), "flags"},
		{os.NewSyscallError("bpf", syscall.E2BIG), "too large"},
		{os.NewSyscallError("bpf", syscall.ENOMEM), "memory"},
	} {
		if got := whyRefused(row.err); !strings.Contains(got, row.want) {
			t.Errorf("whyRefused(%v) = %q; want %q in it", row.err, got, row.want)
		}
	}
	if got := whyRefused(os.NewSyscallError("bpf", syscall.EBUSY)); got != "" {
		t.Errorf("whyRefused(%v) = %q; want nothing", syscall.EBUSY, got)
	}
}

func TestShape(t *testing.T) {
	cpus, err := bpf.PossibleCPUs()
	testns.Must(t, err)
	for _, row := range []struct {
		name    string
		spec    MapSpec
		entries uint32
		flags   uint32
	}{
		{"hash", MapSpec{Type: unix.BPF_MAP_TYPE_HASH, MaxEntries: 7, Flags: flagNoPrealloc}, 7, flagNoPrealloc},
		{"a perf event for each CPU", MapSpec{Type: unix.BPF_MAP_TYPE_PERF_EVENT_ARRAY}, cpus, 0},
		{"fewer perf events", MapSpec{Type: unix.BPF_MAP_TYPE_PERF_EVENT_ARRAY, MaxEntries: 1}, 1, 0},
		{"per-CPU lists", MapSpec{Type: unix.BPF_MAP_TYPE_LRU_HASH, MaxEntries: 1, Flags: flagNoCommonLRU}, cpus, flagNoCommonLRU},
		{"full per-CPU lists", MapSpec{Type: unix.BPF_MAP_TYPE_LRU_HASH, MaxEntries: 3 * cpus, Flags: flagNoCommonLRU}, 3 * cpus, flagNoCommonLRU},
		{"one more", MapSpec{Type: unix.BPF_MAP_TYPE_LRU_HASH, MaxEntries: 3*cpus + 1, Flags: flagNoCommonLRU}, 4 * cpus, flagNoCommonLRU},
		{"a flag of the kernel", MapSpec{Type: unix.BPF_MAP_TYPE_DEVMAP, MaxEntries: 2}, 2, flagRdonlyProg},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := *changed(row.spec, func(s *MapSpec) { s.MaxEntries, s.Flags = row.entries, row.flags })
			if got, err := row.spec.inKernel(); err != nil || got != want {
				t.Errorf("%v in the kernel on %d CPUs = %v, %v; want %v", row.spec, cpus, got, err, want)
			}
		})
	}
}

func TestMapSpecString(t *testing.T) {
	s := MapSpec{unix.BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 8, 0x400, &MapSpec{Type: unix.BPF_MAP_TYPE_HASH, KeySize: 1, ValueSize: 2, MaxEntries: 3}, true}
	want := "array_of_maps, keySize 4, valueSize 4, maxEntries 8, flags 0x400, " +
		"inner (hash, keySize 1, valueSize 2, maxEntries 3, flags 0x0), frozen"
	if got := s.String(); got != want {
		t.Errorf("String() = %q; want %q", got, want)
	}
}
