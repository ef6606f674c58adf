package doctor

import (
	"errors"
	"os"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func decideDirectories(s site) []Finding {
	switch {
	case s.rootErr != nil:
		return notLooked(s.Path, "root")
	case s.unsafeErr != nil:
		return fail(s.Path, s.unsafeErr.Error(), output.Command("ls", "-la", s.Path))
	case len(s.unsafe) == 0:
		return pass(s.maps, "only root can write to it, to the records and to the directories above")
	}
	var found []Finding
	for _, d := range s.unsafe {
		found = append(found, fail(d.Path, d.Err.Error(), fixDir(d))...)
	}
	return found
}

// fixDir returns what makes a directory safe.
func fixDir(d bpffs.UnsafeDir) string {
	fi, err := os.Lstat(d.Path)
	covered := err == nil && ownerOf(fi) != d.UID // by a mount of another's
	const elsewhere = ", or configure a bpfRoot in a directory that only root can change"
	switch {
	case errors.Is(d.Err, bpffs.ErrMounted):
		return look("findmnt", d.Path) + ifUnused([]string{"umount"}, d.Path)
	case d.Above && covered:
		return "drain the node (this removes " + inventory.Hits(d.Path) + "): " +
			output.Command("umount", d.Path) + " && " + output.Command("chown", "root", d.Path) + elsewhere
	case d.Above && d.UID != 0:
		return output.Command("chown", "-h", "root", d.Path) + elsewhere
	case d.Above:
		return output.Command("chmod", "go-w", d.Path) + elsewhere
	case !d.Mode.IsDir():
		return look("ls", "-la", d.Path) + ifUnused([]string{"rm"}, d.Path)
	case d.UID != 0:
		return look("ls", "-lanR", d.Path) + "keep it: " + output.Command("chown", "root:", d.Path) + "; or " +
			ifUnused([]string{"rm", "-r"}, d.Path)
	}
	return output.Command("chmod", "go-w", d.Path)
}
