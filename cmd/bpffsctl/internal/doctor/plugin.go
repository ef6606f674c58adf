package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/plugin"
)

// binary is what was seen of the plugin.
type binary struct {
	path     string
	statErr  error
	mode     fs.FileMode
	owner    uint32
	output   string
	runErr   error
	version  string   // empty if it is not our plugin
	supports []string // versions of CNI
}

// lookAtPlugin calls the plugin as a person does, and asks it for its versions.
func lookAtPlugin(ctx context.Context, dir string, patience time.Duration) (b binary) {
	b.path = filepath.Join(dir, conflist.PluginType)
	fi, err := os.Stat(b.path)
	if b.statErr = err; err != nil {
		return b
	}
	b.mode, b.owner = fi.Mode(), ownerOf(fi)
	if !runnable(b.mode) {
		return b
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b.output, b.runErr = plugin.About(ctx, b.path)
	if m := regexp.MustCompile(`^bpffs (\S+), a chained CNI plugin`).FindStringSubmatch(b.output); m != nil {
		b.version = m[1]
	}
	b.supports, _ = plugin.Versions(ctx, b.path) // what b.runErr says is enough
	return b
}

// runnable reports whether root may run a file with the mode: everybody can, only
// its owner can write to it, and it runs as whoever calls it.
func runnable(mode fs.FileMode) bool {
	return mode.IsRegular() && mode.Perm()&0o133 == 0o111 && mode&(fs.ModeSetuid|fs.ModeSetgid) == 0
}

// checkPlugin does not call the plugin missing where the runtime may look elsewhere.
func checkPlugin(_ context.Context, n *node) []Finding {
	b := n.plugin()
	if errors.Is(b.statErr, fs.ErrNotExist) && n.dirs().Silent() {
		return notLooked(b.path, "runtime")
	}
	return decidePlugin(b, n.Version, n.install())
}

func decidePlugin(b binary, version, reinstall string) []Finding {
	switch {
	case errors.Is(b.statErr, fs.ErrNotExist):
		return fail(b.path, "it is missing: every pod of a network that has bpffs fails", reinstall)
	case b.statErr != nil:
		return fail(b.path, b.statErr.Error(), output.Command("ls", "-la", filepath.Dir(b.path)))
	case !b.mode.IsRegular():
		return fail(b.path, fmt.Sprintf("not a regular file (%v)", b.mode), output.Command("mv", b.path, b.path+".bad")+" && "+reinstall)
	case b.mode.Perm()&0o022 != 0:
		return fail(b.path, fmt.Sprintf("mode %v: other users can change what runtimes run as root", b.mode), output.Command("chmod", "755", b.path))
	case !runnable(b.mode):
		return fail(b.path, fmt.Sprintf("mode %v: runtimes cannot, or should not, execute it", b.mode), output.Command("chmod", "755", b.path))
	case b.runErr != nil:
		return fail(b.path, fmt.Sprintf("calling it: %.300v", b.runErr), output.Command("mv", b.path, b.path+".bad")+" && "+reinstall)
	case b.version == "":
		return fail(b.path, fmt.Sprintf("not the plugin bpffs: it says %.200q", b.output), output.Command("mv", b.path, b.path+".bad")+" && "+reinstall)
	case b.owner != 0:
		return warn(b.path, fmt.Sprintf("it belongs to user %d, who can change what runtimes run as root", b.owner), output.Command("chown", "root:", b.path))
	case b.version != version:
		return warn(b.path, "it is version "+b.version+", and this is bpffsctl "+version, reinstall)
	}
	return pass(b.path, "version "+b.version)
}
