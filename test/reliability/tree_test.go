package reliability

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// A tree is what is below a root. The invariants are decided from it alone, without
// the package that keeps them.
type tree node.Tree

// readTree returns what is below root, nothing if there is no root.
func readTree(tb testing.TB, root string) tree {
	tb.Helper()
	all, err := node.Kinds(root)
	testns.Must(tb, err)
	for name, is := range all {
		if path.Base(name) == "maps" {
			all[name] = mapID.ReplaceAllString(is, "") // a map that is made again has another
		}
	}
	return tree(all)
}

// mapID is the kernel's ID of a map in a record.
var mapID = regexp.MustCompile(`\.[0-9]+`)

// left returns the tree without the directories that stay.
func (t tree) left() tree { return tree(node.Tree(t).Left()) }

// without returns the tree without the paths and what is below them.
func (t tree) without(paths []string) tree {
	less := maps.Clone(t)
	maps.DeleteFunc(less, func(name, _ string) bool { return isBelow(name, paths) })
	return less
}

// isBelow reports whether name is one of the paths, or below one.
func isBelow(name string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return name == p || strings.HasPrefix(name, p+"/") })
}

// pins returns the paths that the record of the endpoint id names.
func (t tree) pins(id string) (pins []string) {
	for n := 0; ; n++ {
		target, ok := strings.CutPrefix(t[fmt.Sprintf("cni/endpoints/%s/pins%d", id, n)], node.LinkTo)
		if !ok {
			return pins
		}
		dir, names, _ := strings.Cut(target, "//")
		for name := range strings.SplitSeq(names, "/") {
			pins = append(pins, dir+"/"+name+id)
		}
	}
}

// ids returns the IDs that have a record.
func (t tree) ids() []string {
	names := node.Tree(t).Below("cni/endpoints")
	return slices.DeleteFunc(names, func(name string) bool { return strings.Contains(name, "/") })
}

// owners returns the IDs of the attachments that own one, as paths, and what is
// wrong with the records.
func (t tree) owners() (owner map[string]string, wrong []string) {
	owner = make(map[string]string)
	for _, id := range t.ids() {
		has, isLink := strings.CutPrefix(t["cni/endpoints/"+id+"/owner"], node.LinkTo)
		if !isLink || strings.Count(has, "/") != 2 {
			wrong = append(wrong, fmt.Sprintf("endpoint %s has the owner %q", id, has))
			continue
		}
		if other, twice := owner[has]; twice {
			wrong = append(wrong, fmt.Sprintf("%s has the endpoint IDs %s and %s", has, other, id))
		}
		owner[has] = id
	}
	return owner, wrong
}

// wrong returns what contradicts the invariants of the records, if what is at
// the foreign paths belongs to others.
func (t tree) wrong(foreign []string) []string {
	owner, wrong := t.owners()
	for who, id := range owner {
		if t[path.Join("cni/attachments", who)] != node.LinkTo+id {
			wrong = append(wrong, fmt.Sprintf("the index does not say that %s has endpoint %s, so DEL cannot find it", who, id))
		}
	}
	recorded := make(map[string]string)
	for _, id := range t.ids() {
		for _, pin := range t.pins(id) {
			if other, twice := recorded[pin]; twice {
				wrong = append(wrong, fmt.Sprintf("endpoints %s and %s have the pin %s", other, id, pin))
			}
			recorded[pin] = id
		}
	}
	return append(wrong, t.unrecorded(slices.Collect(maps.Keys(recorded)), foreign)...)
}

// unrecorded returns the paths outside the records that are neither recorded nor
// foreign, and the foreign ones that are recorded.
func (t tree) unrecorded(recorded, foreign []string) []string {
	var wrong []string
	for name := range t {
		switch ours, theirs := isBelow(name, recorded), isBelow(name, foreign); {
		case node.Stays(name), isBelow(name, []string{"cni"}):
		case ours && theirs:
			wrong = append(wrong, name+" belongs to somebody else, but is recorded")
		case !ours && !theirs:
			wrong = append(wrong, name+" is in no record")
		}
	}
	return wrong
}
