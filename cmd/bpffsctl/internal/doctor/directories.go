package doctor

import (
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func decideDirectories(s site) []Finding {
	switch {
	case s.rootErr != nil:
		return notLooked(s.path, "root")
	case s.unsafeErr != nil:
		return fail(s.path, s.unsafeErr.Error(), output.Command("ls", "-la", s.path))
	case len(s.unsafe) == 0:
		return pass(s.maps, "nobody else can write to it or to the records")
	}
	var found []Finding
	for _, d := range s.unsafe {
		found = append(found, fail(d.Path, d.Err.Error(), fixDir(d))...)
	}
	return found
}

// fixDir returns what makes a directory safe.
func fixDir(d bpffs.UnsafeDir) string {
	switch {
	case !d.Mode.IsDir():
		return output.Command("rm", d.Path)
	case d.UID != 0:
		return "find out who created it: " + output.Command("ls", "-lanR", d.Path) + "; remove it only if nobody uses it: " +
			output.Command("rm", "-r", d.Path) + "; or keep it: " + output.Command("chown", "root:", d.Path)
	}
	return output.Command("chmod", "go-w", d.Path)
}
