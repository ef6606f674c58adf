package doctor

import (
	"fmt"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cnidirs"
)

// decideDirs says how it is known where the runtime looks, and whether it looks
// where it was told to look.
func decideDirs(d cnidirs.Dirs, reinstall string) (found []Finding) {
	for _, u := range d.Unread() {
		fix := u.Fix
		if u.From == cnidirs.Given {
			fix = reinstall + "; " + fix
		}
		found = append(found, fail(u.Dir, u.Detail, fix)...)
	}
	looked := strings.Join(d.Bin, ", ") + ", " + d.Conf
	switch assumed := d.Assumption(); {
	case found != nil:
		return found
	case assumed != "":
		return pass(looked, assumed)
	}
	return pass(looked, fmt.Sprintf("plugins %s, networks %s", d.BinFrom, d.ConfFrom))
}
