package doctor

import (
	"fmt"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// maxListed is how many names of one kind are listed.
const maxListed = 5

// some returns the first names of a long list.
func some(names []string) []string {
	return names[:min(len(names), maxListed)]
}

// list puts names behind each other, at most some of them.
func list(names []string) string {
	text := strings.Join(some(names), ", ")
	if more := len(names) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// again says that a fix is only for what was listed.
func again(all int) string {
	if all > maxListed {
		return ", and again for the others"
	}
	return ""
}

// look returns the beginning of a fix that does not come before a look.
func look(words ...string) string {
	return "look first: " + output.Command(words...) + "; then "
}

// ifUnused returns the end of a fix: a command that removes the paths, and what goes
// with them.
func ifUnused(command []string, paths ...string) string {
	return "only if nobody uses it (this removes " + inventory.Hits(paths...) + "): " + output.Command(append(command, paths...)...)
}
