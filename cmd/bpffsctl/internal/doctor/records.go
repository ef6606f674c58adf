package doctor

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func decideDirectories(s sight) []Finding {
	switch {
	case s.rootErr != nil:
		return notLooked(s.path, "root")
	case s.unsafeErr != nil:
		return fail(s.path, s.unsafeErr.Error(), command("ls", "-la", s.path))
	case len(s.unsafe) == 0:
		return well(s.dir.Path(), "nobody else can write to it or to the records")
	}
	var found []Finding
	for _, d := range s.unsafe {
		found = append(found, fail(d.Path, d.Err.Error(), mendDir(d))...)
	}
	return found
}

// mendDir returns what makes a directory safe.
func mendDir(d bpffs.UnsafeDir) string {
	switch {
	case !d.Mode.IsDir():
		return command("rm", d.Path)
	case d.UID != 0:
		return "look who made it and what is in it: " + command("ls", "-lanR", d.Path) + "; if it is yours: " +
			command("chown", "root:", d.Path) + ", else: " + command("rm", "-r", d.Path)
	}
	return command("chmod", "go-w", d.Path)
}

// unseen says why nothing is known of the records, nil if it is.
func (s sight) unseen() []Finding {
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

func decideRecords(s sight) []Finding {
	if errors.Is(s.seenErr, bpffs.ErrLayout) {
		return fail(s.seen.Records, s.seenErr.Error(),
			"install the version of bpffs that made them; or drain the node and "+command("umount", s.path))
	}
	known := errors.Is(s.seenErr, bpffs.ErrUnsafe) || errors.Is(s.seenErr, bpffs.ErrLocked)
	if s.rootErr == nil && s.seenErr != nil && !known {
		return fail(s.seen.Records, s.seenErr.Error(), command("ls", "-laR", s.seen.Records))
	}
	if found := s.unseen(); found != nil {
		return found
	}
	var found []Finding
	for _, bad := range s.seen.Unreadable[:min(len(s.seen.Unreadable), most)] {
		found = append(found, fail(bad.Path, "this record cannot be read, and no DEL removes what it owns: "+bad.Err.Error(),
			s.underLock("rm", "-r", bad.Path)+again(len(s.seen.Unreadable)))...)
	}
	if lost := s.seen.Unindexed; len(lost) > 0 {
		first := command("mkdir", "-p", path.Dir(lost[0].Path)) + " && " + command("ln", "-sfn", lost[0].Target, lost[0].Path)
		found = append(found, fail(s.seen.Records, "DEL and GC do not find "+count(len(lost), "record", "records")+", for the index lacks "+lost[0].Path,
			s.underLock("sh", "-c", first)+again(len(lost)))...)
	}
	if found == nil {
		found = well(s.where(), count(len(s.seen.Endpoints), "endpoint", "endpoints")+", all of which can be read")
	}
	return found
}

// underLock returns a command that changes the records while no ADD or DEL does.
func (s sight) underLock(words ...string) string {
	return command(append([]string{"flock", s.seen.Records}, words...)...)
}

func decidePins(s sight) []Finding {
	if found := s.unseen(); found != nil {
		return found
	}
	var paths, reserved []string
	var owners []bpffs.Endpoint
	for _, m := range s.missing {
		if s.isReserved(m.path) {
			reserved = append(reserved, m.path)
			continue
		}
		paths = append(paths, m.path)
		if !slices.ContainsFunc(owners, func(e bpffs.Endpoint) bool { return e.ID == m.endpoint.ID }) {
			owners = append(owners, m.endpoint)
		}
	}
	switch {
	case len(s.missing) == 0:
		return well(s.dir.Path(), "all pins that the records name are there")
	case len(paths) == 0:
		return well(s.dir.Path(), "all pins are there but "+count(len(reserved), "path", "paths")+" reserved for other plugins: "+list(reserved))
	}
	return warn(s.dir.Path(), count(len(paths), "recorded pin", "recorded pins")+" missing: "+list(paths)+
		"; somebody removed what was there",
		deletePods(owners))
}

// isReserved reports whether the path is that of a name which is declared without
// a type, so that another plugin makes the map, when it likes.
func (s sight) isReserved(pin string) bool {
	name, ok := localName(path.Base(pin))
	return ok && slices.Contains(s.names, name) && !slices.Contains(s.made, name)
}

func decideNetNS(s sight) []Finding {
	if found := s.unseen(); found != nil {
		return found
	}
	if len(s.gone) == 0 {
		return well(s.where(), "all network namespaces that the records name are there")
	}
	var names []string
	for _, e := range s.gone {
		names = append(names, fmt.Sprintf("%05d of %s", e.ID, nameOf(e)))
	}
	return warn(s.seen.Records, count(len(names), "endpoint", "endpoints")+" whose network namespace is gone: "+list(names)+
		"; a DEL did not come, and their maps stay", s.collect())
}

// collect returns what removes the endpoints of containers that are gone.
func (s sight) collect() string {
	words := []string{"bpffsctl", "gc"}
	if s.path != bpffs.DefaultRoot {
		words = append(words, "--root", s.path)
	}
	if s.socket != "" {
		words = append(words, "--cri-socket", s.socket)
	}
	return "look what is lost: " + command(words...) + "; then: " + command(append(words, "--yes")...)
}

// nameOf returns the pod of an endpoint, or its container if the runtime did not
// name a pod.
func nameOf(e bpffs.Endpoint) string {
	if e.Details.Pod != "" {
		return e.Details.Pod
	}
	return "container " + e.Attachment.ContainerID
}

// deletePods says how to have the pods made anew.
func deletePods(endpoints []bpffs.Endpoint) string {
	var lines []string
	for _, e := range endpoints[:min(len(endpoints), most)] {
		if namespace, name, ok := strings.Cut(e.Details.Pod, "/"); ok {
			lines = append(lines, command("kubectl", "-n", namespace, "delete", "pod", name))
			continue
		}
		lines = append(lines, fmt.Sprintf("delete and make anew: container %s (bpffsctl show %d)", e.Attachment.ContainerID, e.ID))
	}
	return strings.Join(lines, "; ") + again(len(endpoints))
}

func decideLeftovers(s sight) []Finding {
	if found := s.unseen(); found != nil {
		return found
	}
	var found []Finding
	if s.seen.Scratch != "" {
		found = warn(s.seen.Scratch, "left by a process that was killed; the next ADD, DEL or GC removes it",
			s.underLock("rm", "-r", s.seen.Scratch))
	}
	if left := s.seen.Unconfirmed; len(left) > 0 {
		found = append(found, warn(s.seen.Records, count(len(left), "entry", "entries")+" in the index that no record confirms: "+list(left),
			s.underLock(append([]string{"rm", "-r"}, some(left)...)...)+again(len(left)))...)
	}
	if left := s.seen.Empty; len(left) > 0 {
		found = append(found, warn(s.seen.Records, count(len(left), "empty directory", "empty directories")+" in the index: "+list(left),
			s.underLock(append([]string{"rmdir"}, some(left)...)...)+again(len(left)))...)
	}
	if found == nil {
		found = well(s.where(), "a killed process left nothing")
	}
	return found
}

// An ADD passes over an ID if something is at one of the paths that it would get.
// Pins of another form, or whose name nobody declares, hinder nobody: Cilium and
// iproute2 keep theirs in the same directory.
func decideForeign(s sight) []Finding {
	if found := s.unseen(); found != nil {
		return found
	}
	var occupying []string
	for _, pin := range s.seen.Foreign {
		if s.occupies(path.Base(pin)) {
			occupying = append(occupying, pin)
		}
	}
	others := len(s.seen.Foreign) - len(occupying)
	if len(occupying) > 0 {
		return warn(s.dir.Path(), count(len(occupying), "pin", "pins")+" that no record owns, with a name of ours: "+list(occupying)+
			"; no pod can get an ID that they occupy",
			"look what it is: "+command("bpftool", "map", "show", "pinned", occupying[0])+"; if nobody needs it: "+
				command(append([]string{"rm", "-r"}, some(occupying)...)...)+again(len(occupying)))
	}
	if others > 0 {
		return well(s.dir.Path(), count(others, "pin", "pins")+" of others, whose names are not ours: "+list(s.seen.Foreign))
	}
	return well(s.dir.Path(), "no pin that no record owns")
}

// occupies reports whether the name is one that an ADD could choose. Where no
// configuration says which names it declares, it may be any.
func (s sight) occupies(name string) bool {
	declared, ok := localName(name)
	return ok && (len(s.names) == 0 || slices.Contains(s.names, declared))
}

// localName undoes [bpffs.LocalMapName].
func localName(name string) (declared string, ok bool) {
	parts := regexp.MustCompile(`^(.+)([0-9]{5})$`).FindStringSubmatch(name)
	if parts == nil || parts[2] == "00000" || parts[2] > fmt.Sprint(bpffs.MaxEndpoints) {
		return "", false
	}
	return parts[1], true
}

// nearlyFull is of how many percent in use a warning is given.
const nearlyFull = 90

func decideFree(s sight) []Finding {
	if found := s.unseen(); found != nil {
		return found
	}
	used := bpffs.MaxEndpoints - s.seen.Free
	detail := fmt.Sprintf("%d of %d endpoint IDs are in use", used, bpffs.MaxEndpoints)
	switch {
	case s.seen.Free <= 0:
		return fail(s.where(), detail+": no pod can start", s.collect())
	case used*100 > bpffs.MaxEndpoints*nearlyFull:
		return warn(s.where(), detail, s.collect())
	}
	return well(s.where(), detail)
}
