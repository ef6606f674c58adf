package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/places"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

func checkMountNamespace(context.Context, *node) []Finding {
	same, err := bpffs.InHostMountNamespace()
	return decideMountNamespace(same, err)
}

func decideMountNamespace(same bool, err error) []Finding {
	const looked = "/proc/self/ns/mnt"
	const enter = "nsenter --target 1 --mount bpffsctl doctor"
	switch {
	case err != nil:
		return warn(looked, "cannot tell whether this is the host's mount namespace: "+err.Error(), enter)
	case !same:
		return warn(looked, "this is not the mount namespace of process 1: all checks below see other mounts than the host, "+
			"and a bpffs mounted here is lost when this namespace ends", enter)
	}
	return pass(looked, "the mount namespace of process 1")
}

// decideRoot says whether the next ADD finds a bpffs, or can mount one.
func decideRoot(s site) []Finding {
	switch {
	case errors.Is(s.rootErr, bpffs.ErrStacked):
		return fail(s.Path, s.rootErr.Error(), look("findmnt", s.Path)+"unmount the upper one, "+ifUnused([]string{"umount"}, s.Path))
	case errors.Is(s.rootErr, places.ErrHidden):
		return fail(s.Path, s.rootErr.Error(), look("findmnt", "--all")+
			"unmount what is over it or over a directory above it, but only if nobody uses that")
	case errors.Is(s.rootErr, bpffs.ErrOtherFileSystem):
		return fail(s.Path, s.rootErr.Error(), look("findmnt", s.Path)+"configure another bpfRoot; or "+ifUnused([]string{"umount"}, s.Path))
	case errors.Is(s.rootErr, syscall.ENOTDIR):
		return fail(s.Path, s.rootErr.Error(), look("ls", "-l", s.Path)+"configure another bpfRoot; or "+ifUnused([]string{"rm"}, s.Path))
	case s.rootErr != nil:
		return fail(s.Path, s.rootErr.Error(), "do what this says; to see what is there: "+output.Command("ls", "-A", s.Path))
	case s.mountErr != nil:
		return fail(s.Path, s.mountErr.Error(), mountProc)
	case s.mounted && slices.Contains(strings.Split(s.mount.Options+","+s.mount.VFSOptions, ","), "ro"):
		return fail(s.Path, "the bpffs is mounted read-only: no pod can start or be deleted",
			output.Command("mount", "-o", "remount,rw", s.Path)+" && "+output.Command("mount", "-o", "remount,bind,rw", s.Path))
	case s.Fallback:
		return warn(s.Path, "the fallback is used, because another file system is mounted at "+bpffs.DefaultRoot+
			": programs that look there do not find the maps",
			look("findmnt", bpffs.DefaultRoot)+"configure bpfRoot; or "+ifUnused([]string{"umount"}, bpffs.DefaultRoot)+", and restart the pods")
	case !s.mounted:
		return pass(s.Path, "nothing is mounted there yet; the first ADD mounts a bpffs")
	}
	return pass(s.Path, "one bpffs, which can be written to")
}

// decidePropagation says who else sees the bpffs. A new mount is shared where the
// one above it is.
func decidePropagation(s site) []Finding {
	if s.rootErr != nil || s.mountErr != nil {
		return notLooked(s.Path, "root")
	}
	const others = "mount namespaces that are there already, such as that of a runtime or an agent with its own, "
	shared := strings.Contains(s.mount.Optional, "shared:")
	switch {
	case shared && s.mounted:
		return pass(s.Path, "the mount is shared")
	case shared:
		return pass(s.Path, "the mount will be shared")
	case s.mounted:
		return warn(s.Path, "the mount is "+propagation(s.mount)+": "+others+"do not see a change of it",
			output.Command("mount", "--make-shared", s.Path)+", then restart runtimes and agents that have a mount namespace of their own")
	}
	return warn(s.Path, "the mount will be private, as that at "+s.mount.Mountpoint+" is: "+others+"will not see it",
		output.Command("mount", "--make-shared", s.mount.Mountpoint)+", then restart runtimes and agents that have a mount namespace of their own")
}

// propagation says what the optional fields of mountinfo mean (proc(5)).
func propagation(m mountinfo.Info) string {
	switch {
	case strings.Contains(m.Optional, "master:"):
		return "a slave"
	case strings.Contains(m.Optional, "unbindable"):
		return "unbindable"
	}
	return "private"
}
