package doctor

import "github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"

// underLock returns a command that changes the records while no ADD or DEL does.
func (s site) underLock(words ...string) string {
	return output.Command(append([]string{"flock", s.seen.Records}, words...)...)
}

func decideLeftovers(s site) []Finding {
	var found []Finding
	if s.seen.Scratch != "" {
		found = warn(s.seen.Scratch, "left by a process that was killed; the next ADD, DEL or GC removes it",
			s.underLock("rm", "-r", s.seen.Scratch))
	}
	if left := s.seen.Unconfirmed; len(left) > 0 {
		found = append(found, warn(s.seen.Records, output.Count(len(left), "entry", "entries")+" in the index that no record confirms: "+list(left),
			s.underLock(append([]string{"rm", "-r"}, some(left)...)...)+again(len(left)))...)
	}
	if left := s.seen.Empty; len(left) > 0 {
		found = append(found, warn(s.seen.Records, output.Count(len(left), "empty directory", "empty directories")+" in the index: "+list(left),
			s.underLock(append([]string{"rmdir"}, some(left)...)...)+again(len(left)))...)
	}
	return or(found, s.where(), "a killed process left nothing")
}
