package netconf

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// defaultKubeletDir is the root directory of kubelet unless it is told otherwise.
const defaultKubeletDir = "/var/lib/kubelet"

// parsePod reads what pods can see of their own maps.
func (c *Config) parsePod() error {
	c.KubeletDir = defaultKubeletDir
	if err := c.decode("podVolume", &c.PodVolume); err != nil {
		return err
	}
	if c.PodVolume != "" && !isLabel(c.PodVolume) {
		return c.bad("podVolume", errors.New("not a valid name of a volume: use up to 63 of a-z, 0-9 and -, with no - at either end"))
	}
	if err := c.decode("kubeletDir", &c.KubeletDir); err != nil {
		return err
	}
	if err := checkKubeletDir(c.KubeletDir); err != nil {
		return c.bad("kubeletDir", err)
	}
	if c.Delegate != nil && c.PodVolume == "" {
		return c.bad("podVolume", errors.New("tokens need a volume: name one, or remove the key delegate"))
	}
	if i := slices.IndexFunc(c.Maps, func(d bpffs.MapDecl) bool { return d.Pod != "" }); i >= 0 && c.PodVolume == "" {
		return c.bad("podVolume", fmt.Errorf("the map %s needs a volume to be seen in: name one, or remove the key pod of the map", c.Maps[i].Name))
	}
	return nil
}

// maxKubeletDir leaves room for the path of a volume.
const maxKubeletDir = 3072

func checkKubeletDir(dir string) error {
	switch {
	case !filepath.IsAbs(dir):
		return errors.New("it is not an absolute path")
	case slices.Contains(strings.Split(dir, "/"), ".."):
		return errors.New("it contains ..: write the path without it")
	case strings.ContainsFunc(dir, unicode.IsControl):
		return errors.New("it contains a control character")
	case len(dir) > maxKubeletDir:
		return fmt.Errorf("%d bytes are too long, the limit is %d", len(dir), maxKubeletDir)
	}
	return nil
}

// podAccess reads the key pod of a map.
func podAccess(text string, typed bool) (bpffs.PodAccess, error) {
	access := bpffs.PodAccess(text)
	switch {
	case access != "" && access != bpffs.PodReads && access != bpffs.PodWrites:
		return "", fmt.Errorf("wanted %q or %q", bpffs.PodReads, bpffs.PodWrites)
	case access != "" && !typed:
		return "", errors.New("the map has no type: a pod can only see what the plugin creates")
	}
	return access, nil
}
