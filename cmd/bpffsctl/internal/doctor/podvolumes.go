package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/cri"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
	"github.com/cni-bpffs/cni-bpffs/internal/netconf"
	"github.com/cni-bpffs/cni-bpffs/internal/podfs"
	"github.com/cni-bpffs/cni-bpffs/internal/token"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// checkPodVolumes looks whether the node can do what the networks promise to pods. What
// is wrong with a configuration itself, or with the runtime, is another check's.
func checkPodVolumes(ctx context.Context, n *node) []Finding {
	var found []Finding
	pods := sync.OnceValue(func() []cri.Sandbox {
		all, _ := n.runtime().Running(ctx, n.Patience) // see above
		return all
	})
	for _, c := range n.networks().calls() {
		p := promise{c.Path, c.Config()}
		if p.conf.ParseAll() != nil || p.conf.PodVolume == "" {
			continue
		}
		bad := slices.Concat(decideKernel(p, podfs.CheckKernel()), decideTokens(p, token.CheckKernel()), decideKubelet(p, pods()), decideSecurity(setting(enforcing), setting(unprivileged)))
		found = append(found, or(bad, p.path, "the node can give pods the volume "+p.conf.PodVolume+unseenWithToken(p))...)
	}
	return or(found, n.networks().dir, "no network has podVolume")
}

// A promise is what the configuration in a file says of volumes of pods.
type promise struct {
	path string
	conf *netconf.Config
}

// unseenWithToken says what pods do not see because they get a token.
func unseenWithToken(p promise) string {
	if p.conf.Delegate == nil || !slices.ContainsFunc(p.conf.Maps, func(d bpffs.MapDecl) bool { return d.Pod == bpffs.PodReads }) {
		return ""
	}
	return "; a pod with a token does not see those of its maps that are ro"
}

// Where the kernel tells its settings.
const (
	enforcing    = "/sys/fs/selinux/enforce"
	unprivileged = "/proc/sys/kernel/unprivileged_bpf_disabled"
)

func setting(path string) string {
	text, _ := os.ReadFile(path) // not every kernel has it
	return strings.TrimSpace(string(text))
}

func decideKernel(p promise, refused error) []Finding {
	if refused == nil {
		return nil
	}
	return fail(p.path, "pods that declare the volume "+p.conf.PodVolume+" do not start: "+refused.Error(), "${EDITOR:-vi} "+output.Quote(p.path))
}

func decideTokens(p promise, refused error) []Finding {
	if p.conf.Delegate == nil || refused == nil {
		return nil
	}
	return fail(p.path, "pods of "+list(p.conf.Delegate.Namespaces)+" that ask for a token do not start: "+refused.Error(), "${EDITOR:-vi} "+output.Quote(p.path))
}

// decideKubelet says whether kubelet keeps a pod where the plugin looks for volumes. Other
// pods may be of another program.
func decideKubelet(p promise, pods []cri.Sandbox) []Finding {
	dir := filepath.Join(p.conf.KubeletDir, "pods")
	has := func(pod cri.Sandbox) bool {
		_, err := os.Stat(filepath.Join(dir, pod.UID))
		return err == nil
	}
	if has(cri.Sandbox{}) && (len(pods) == 0 || slices.ContainsFunc(pods, has)) {
		return nil
	}
	return warn(dir, "no running pod has a directory there: pods that declare the volume "+p.conf.PodVolume+" find it empty, and no error says so",
		"find kubelet's directory, the part before /pods: findmnt --list --output TARGET | grep kubernetes.io; then write it as kubeletDir: ${EDITOR:-vi} "+output.Quote(p.path))
}

func decideSecurity(selinux, unprivilegedOff string) (found []Finding) {
	if selinux == "1" {
		found = warn(enforcing, "SELinux is enforcing: volumes of pods were not tried with it, and it may refuse them", "see what it refuses: ausearch -m AVC -ts recent")
	}
	if unprivilegedOff == "0" {
		found = append(found, warn(unprivileged, "pods without any capability can load programs, and these can write to maps that the pod can only read",
			"sysctl -w kernel.unprivileged_bpf_disabled=2, and keep it in a file in /etc/sysctl.d")...)
	}
	return found
}
