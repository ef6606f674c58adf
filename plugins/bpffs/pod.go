package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/containernetworking/cni/pkg/utils"

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

// openPodVolume opens the volume in which the pod wants to see its maps. It is nil
// if the pod did not ask, or pods cannot.
func (c call) openPodVolume() (*bpffs.PodVolume, error) {
	uid := arg(c.Args, "K8S_POD_UID")
	if c.PodVolume == "" || uid == "" {
		return nil, nil
	}
	v, err := bpffs.OpenPodVolume(bpffs.PodSpec{KubeletDir: c.KubeletDir, Volume: c.PodVolume, UID: uid, IfName: c.IfName})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return v, err
}
