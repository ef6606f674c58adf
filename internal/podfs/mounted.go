package podfs

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/internal/bpfmount"
)

const (
	sourcePrefix = "bpffs-"
	sourceDigits = 16
)

// newSource returns what a new file system is called in the mount table.
func newSource() string {
	return fmt.Sprintf("%s%0*x", sourcePrefix, sourceDigits, rand.Uint64())
}

// IsSource reports whether the mount table calls a file system of this package so.
func IsSource(text string) bool {
	digits, ok := strings.CutPrefix(text, sourcePrefix)
	return ok && len(digits) == sourceDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// A Mount is a mount of a file system that this package made.
type Mount struct {
	Path   string
	Source string // which no other file system has
	Device uint64 // the number of the file system, until it is unmounted
}

// Mounts returns those of this mount namespace, whoever knows them, as the mount table
// has them.
func Mounts() (all []Mount, err error) {
	table, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != bpfmount.Type || !IsSource(m.Source), false
	})
	for _, m := range table {
		all = append(all, Mount{m.Mountpoint, m.Source, device(m)})
	}
	return all, err
}
