package doctor

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
)

func TestDecide(t *testing.T) {
	for _, row := range []struct {
		name   string
		found  []Finding
		status Status
		says   string
	}{
		{"root", decidePrivilege(0), OK, "is root"},
		{"5.9", decideKernelVersion("5.9.16", false), Warning, "older than 5.10"},
		{"4.19", decideKernelVersion("4.19.0-27-amd64", false), Warning, "older than 5.10"},
		{"5.10", decideKernelVersion("5.10.0-8-amd64", false), OK, "no statmount"},
		{"6.1", decideKernelVersion("6.1.0", false), OK, "no statmount"},
		{"6.12", decideKernelVersion("6.12.1+deb", true), OK, "has statmount"},
		{"no version", decideKernelVersion("next", true), Warning, "cannot tell"},
		{"bpf(2) not built in", decideKernelBPF(syscall.ENOSYS), Failure, "not implemented"},
		{"bpf(2) fails otherwise", decideKernelBPF(syscall.ENOMEM), Failure, "cannot allocate"},
		{"no /proc", decideMountNamespace(false, os.ErrNotExist), Warning, "cannot tell"},
		{"half of the IDs", decideFree(inUse(32768)), OK, "32768 of 65535"},
		{"90 % of the IDs", decideFree(inUse(58981)), OK, "58981 of 65535"},
		{"more than 90 % of the IDs", decideFree(inUse(58982)), Warning, "58982 of 65535"},
		{"all but one ID", decideFree(inUse(65534)), Warning, "65534 of 65535"},
		{"all IDs", decideFree(inUse(65535)), Failure, "no pod can start"},
	} {
		if len(row.found) != 1 || row.found[0].Status != row.status || !strings.Contains(row.found[0].Detail, row.says) {
			t.Errorf("%s: got %+v, want %s with %q", row.name, row.found, row.status, row.says)
		}
	}
}

func inUse(n int) (s site) {
	s.seen.FreeIDs = 65535 - n
	return s
}

func TestOccupies(t *testing.T) {
	for _, row := range []struct {
		declared string
		name     string
		want     bool
	}{
		{"stats_", "stats_00001", true},
		{"stats_", "stats_65535", true},
		{"stats_", "stats_65536", false},
		{"stats_", "stats_00000", false},
		{"stats_", "stats_0001", false},
		{"stats_", "stats_000001", false},
		{"stats_", "stats_", false},
		{"stats_", "cilium_policy_00001", false},
		{"", "cilium_policy_00001", true},
		{"", "cilium_lxc", false},
		{"", "00001", false},
	} {
		var s site
		if row.declared != "" {
			s.Names, s.Known = []string{"other_", row.declared}, true
		}
		if got := s.occupies("/maps/" + row.name); got != row.want {
			t.Errorf("with %q declared, %q occupies an ID: got %v, want %v", row.declared, row.name, got, row.want)
		}
	}
	if s := (site{Place: places.Place{Known: true}}); s.occupies("/maps/cilium_policy_00001") {
		t.Error("with no name declared, a pin occupies an ID")
	}
}

func TestFindHolder(t *testing.T) {
	const locks = `1: FLOCK  ADVISORY  WRITE 11 00:2a:5 0 EOF
1: -> FLOCK  ADVISORY  WRITE 12 00:2a:7 0 EOF
2: FLOCK  ADVISORY  WRITE 13 00:2a:7 0 EOF
3: POSIX  ADVISORY  READ  14 fd:01:12345 128 128
4: OFDLCK ADVISORY  WRITE -1 fd:01:9 0 EOF
5: short
`
	for _, row := range []struct {
		file string
		want int
	}{
		{"00:2a:5", 11},
		{"00:2a:7", 13},
		{"fd:01:12345", 14},
		{"fd:01:9", 0},
		{"00:2a:6", 0},
	} {
		if got := findHolder(locks, row.file); got != row.want {
			t.Errorf("holder of %+v: got %d, want %d", row.file, got, row.want)
		}
	}
}
