package doctor

import (
	"errors"
	"path"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// hindered names the check that says why nothing is known of the records, empty if
// all is.
func (s site) hindered() string {
	switch {
	case s.rootErr != nil:
		return "root"
	case errors.Is(s.seenErr, bpffs.ErrUnsafe), errors.Is(s.seenErr, bpffs.ErrMounted):
		return "directories"
	case errors.Is(s.seenErr, bpffs.ErrLocked):
		return "lock"
	case s.seenErr != nil:
		return "records"
	}
	return ""
}

func decideRecords(s site) []Finding {
	switch because := s.hindered(); {
	case errors.Is(s.seenErr, bpffs.ErrLayout):
		return fail(s.seen.Records, s.seenErr.Error(),
			"install the version of bpffs that made them; or drain the node (this removes "+inventory.Hits(s.Path)+"): "+
				output.Command("umount", s.Path))
	case because == "records":
		return fail(s.seen.Records, s.seenErr.Error(), output.Command("ls", "-laR", s.seen.Records))
	case because != "":
		return notLooked(s.Path, because)
	}
	var found []Finding
	for _, bad := range s.seen.Unreadable[:min(len(s.seen.Unreadable), maxListed)] {
		found = append(found, fail(bad.Path, "this record cannot be read, and no DEL removes what it owns: "+bad.Err.Error(),
			look("ls", "-la", bad.Path)+"only if its pod is gone, remove the record, its pins stay: "+s.underLock("rm", "-r", bad.Path)+again(len(s.seen.Unreadable)))...)
	}
	if lost := s.seen.Unindexed; len(lost) > 0 {
		first := output.Command("mkdir", "-p", path.Dir(lost[0].Path)) + " && " + output.Command("ln", "-sfn", lost[0].Target, lost[0].Path)
		found = append(found, fail(s.seen.Records, "DEL and GC do not find "+output.Count(len(lost), "record", "records")+": the index lacks "+lost[0].Path,
			s.underLock("sh", "-c", first)+again(len(lost)))...)
	}
	return or(found, s.where(), output.Count(len(s.seen.Endpoints), "endpoint", "endpoints")+", all readable")
}
