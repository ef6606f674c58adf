package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/utils"

	"github.com/cni-bpffs/cni-bpffs/internal/errlist"
	"github.com/cni-bpffs/cni-bpffs/internal/token"
	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// arg returns what CNI_ARGS has for the key; the last value counts.
func arg(args, key string) (value string) {
	for one := range strings.SplitSeq(args, ";") {
		if k, v, _ := strings.Cut(one, "="); k == key {
			value = v
		}
	}
	return value
}

// podOf returns the pod that CNI_ARGS names as Kubernetes' runtimes and podman do,
// as "namespace/name". Whatever cannot be the name of a pod names none.
func podOf(args string) string {
	namespace, name := arg(args, "K8S_POD_NAMESPACE"), arg(args, "K8S_POD_NAME")
	if utils.ValidateNetworkName(namespace) != nil || utils.ValidateNetworkName(name) != nil {
		return ""
	}
	return namespace + "/" + name
}

// A podVolume is the open volume of a pod, and the user namespace in which the pod
// makes tokens: nil if it gets none.
type podVolume struct {
	*bpffs.PodVolume

	owner *os.File
}

// openPodVolume opens the volume in which the pod wants to see its maps. It is nil
// if the pod did not ask, or pods cannot.
func (c call) openPodVolume() (*podVolume, error) {
	uid := arg(c.Args, "K8S_POD_UID")
	if c.PodVolume == "" || uid == "" {
		return nil, nil //nolint:nilnil // most pods have none
	}
	volume, err := bpffs.OpenPodVolume(bpffs.PodSpec{KubeletDir: c.KubeletDir, Volume: c.PodVolume, UID: uid, IfName: c.IfName})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // it did not ask
	}
	if err != nil {
		return nil, err
	}
	owner, err := c.tokenOwner()
	if err != nil {
		return nil, errlist.Join(err, volume.Close())
	}
	volume.Token = owner != nil
	return &podVolume{volume, owner}, nil
}

// Close closes the volume. What was prepared and not shown is gone.
func (v *podVolume) Close() error {
	err := v.PodVolume.Close()
	if v.owner != nil {
		err = errlist.Join(err, v.owner.Close())
	}
	return err
}

// tokenOwner returns the user namespace of the pod if it gets tokens: it is one of
// those to which the administrator delegates, and does not run as the node's root.
func (c call) tokenOwner() (*os.File, error) {
	if c.Delegate == nil || !slices.Contains(c.Delegate.Namespaces, arg(c.Args, "K8S_POD_NAMESPACE")) {
		return nil, nil //nolint:nilnil // most pods get none
	}
	owner, foreign, err := token.UserNSOf(c.Netns)
	if err != nil {
		return nil, fmt.Errorf("%w: CNI_NETNS: looking for the user namespace of a pod that gets tokens: %w", errNetNS, err)
	}
	if !foreign {
		return nil, owner.Close()
	}
	return owner, nil
}

// prepareToken makes the bpffs in which the pod makes its tokens, if it gets any.
func (c call) prepareToken(v *podVolume) error {
	if v.owner == nil {
		return nil
	}
	context, err := token.Open(v.owner, c.Delegate.Delegation)
	if err != nil {
		return fmt.Errorf("%w: %w", bpffs.ErrPodVolume, err)
	}
	return v.PrepareToken(context)
}
