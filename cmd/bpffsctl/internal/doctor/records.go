package doctor

import (
	"errors"
	"path"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// unseen says why nothing is known of the records, nil if it is.
func (s site) unseen() []Finding {
	switch {
	case s.rootErr != nil:
		return notLooked(s.path, "root")
	case errors.Is(s.seenErr, bpffs.ErrUnsafe):
		return notLooked(s.path, "directories")
	case errors.Is(s.seenErr, bpffs.ErrLocked):
		return notLooked(s.path, "lock")
	case s.seenErr != nil:
		return notLooked(s.path, "records")
	}
	return nil
}

func decideRecords(s site) []Finding {
	if errors.Is(s.seenErr, bpffs.ErrLayout) {
		return fail(s.seen.Records, s.seenErr.Error(),
			"install the version of bpffs that made them; or drain the node and "+output.Command("umount", s.path))
	}
	known := errors.Is(s.seenErr, bpffs.ErrUnsafe) || errors.Is(s.seenErr, bpffs.ErrLocked)
	if s.rootErr == nil && s.seenErr != nil && !known {
		return fail(s.seen.Records, s.seenErr.Error(), output.Command("ls", "-laR", s.seen.Records))
	}
	if found := s.unseen(); found != nil {
		return found
	}
	var found []Finding
	for _, bad := range s.seen.Unreadable[:min(len(s.seen.Unreadable), maxListed)] {
		found = append(found, fail(bad.Path, "this record cannot be read, and no DEL removes what it owns: "+bad.Err.Error(),
			s.underLock("rm", "-r", bad.Path)+again(len(s.seen.Unreadable)))...)
	}
	if lost := s.seen.Unindexed; len(lost) > 0 {
		first := output.Command("mkdir", "-p", path.Dir(lost[0].Path)) + " && " + output.Command("ln", "-sfn", lost[0].Target, lost[0].Path)
		found = append(found, fail(s.seen.Records, "DEL and GC do not find "+output.Count(len(lost), "record", "records")+", for the index lacks "+lost[0].Path,
			s.underLock("sh", "-c", first)+again(len(lost)))...)
	}
	if found == nil {
		found = pass(s.where(), output.Count(len(s.seen.Endpoints), "endpoint", "endpoints")+", all of which can be read")
	}
	return found
}
