package testadd

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A Volume is the emptyDir "bpffs" of a pod with the interface eth0.
type Volume struct {
	KubeletDir, UID string
	Token           *os.File // the context of a bpffs; nil if the pod gets no token
}

// Path returns the directory of the volume.
func (v Volume) Path() string {
	return filepath.Join(v.KubeletDir, "pods", v.UID, "volumes/kubernetes.io~empty-dir/bpffs")
}

// Show makes the volume, as kubelet does, and lets the endpoint show its maps there, as
// ADD does.
func (v Volume) Show(ctx context.Context, root string, id uint16, maps ...bpffs.MapDecl) error {
	if err := os.MkdirAll(v.Path(), 0o755); err != nil {
		return err
	}
	open, err := bpffs.OpenPodVolume(bpffs.PodSpec{KubeletDir: v.KubeletDir, Volume: "bpffs", UID: v.UID, IfName: "eth0"})
	if err != nil {
		return err
	}
	defer open.Close()
	if v.Token != nil {
		err = open.PrepareToken(v.Token)
	}
	e, oerr := bpffs.OpenEndpoints(ctx, root)
	if err = errors.Join(err, oerr); err != nil {
		return err
	}
	defer e.Close()
	return e.ShowPod(id, false, "", maps, open)
}
