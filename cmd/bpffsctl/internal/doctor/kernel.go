package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/cni-bpffs/cni-bpffs/internal/mounts"
)

const oldestMajor, oldestMinor = 5, 10 // the first kernel that the plugin is known to work on

func decidePrivilege(uid int) []Finding {
	looked := fmt.Sprintf("user %d", uid)
	if uid != 0 {
		return fail(looked, "only root can look at the records and the mounts of other users", "sudo bpffsctl doctor")
	}
	return pass(looked, "is root")
}

func checkKernelVersion(context.Context, *node) []Finding {
	release, err := kernelRelease()
	if err != nil {
		return fail("Linux", err.Error(), "uname -r")
	}
	return decideKernelVersion(release, mounts.HasStatmount())
}

func decideKernelVersion(release string, statmount bool) []Finding {
	looked := "Linux " + release
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return warn(looked, "cannot tell the version from this", "compare it with 5.10, the oldest kernel that works: uname -r")
	}
	if slices.Compare([]int{major, minor}, []int{oldestMajor, oldestMinor}) < 0 {
		return warn(looked, "older than 5.10, the oldest kernel that the plugin was tried on", "install and boot a newer kernel")
	}
	if !statmount {
		return pass(looked, "has no statmount(2), which came with 6.8: pod start-up slows down as the number of mounts grows")
	}
	return pass(looked, "has statmount(2): pod start-up does not depend on the number of mounts")
}

const (
	filesystems = "/proc/filesystems"
	mountProc   = "mount -t proc none /proc"
)

func checkKernelFilesystem(context.Context, *node) []Finding {
	text, err := os.ReadFile(filesystems)
	switch {
	case err != nil:
		return fail(filesystems, err.Error(), mountProc)
	case slices.Contains(strings.Fields(string(text)), "bpf"):
		return pass(filesystems, "the kernel has the file system bpf")
	}
	return fail(filesystems, "the kernel has no file system bpf", needConfig)
}

// needConfig is what to do about a kernel without BPF.
const needConfig = "boot a kernel with CONFIG_BPF_SYSCALL=y; this one: grep CONFIG_BPF /boot/config-$(uname -r)"

func decideKernelBPF(err error) []Finding {
	const looked = "bpf(2)"
	switch {
	case err == nil:
		return pass(looked, "a map can be created")
	case errors.Is(err, syscall.ENOSYS):
		return fail(looked, "creating a map: "+err.Error(), needConfig)
	case errors.Is(err, syscall.EPERM):
		return fail(looked, "creating a map: "+err.Error(),
			"run this outside of containers, as root with CAP_BPF and CAP_SYS_ADMIN; grep -E 'CapEff|Seccomp' /proc/self/status")
	}
	return fail(looked, "creating a map: "+err.Error(), "dmesg | tail")
}
