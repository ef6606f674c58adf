package inventory

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// A View is a directory in the volume of a pod on which the plugin mounted a file
// system.
type View struct {
	Directory string   `json:"directory"`       // in the volume
	Token     bool     `json:"token,omitempty"` // the pod makes BPF tokens in it
	Maps      []string `json:"maps,omitempty"`  // that the pod sees in it, by their declared names
	Path      string   `json:"path"`            // on the node: where it is mounted now, else where it was
	Mounted   bool     `json:"mounted"`
	Error     string   `json:"error,omitempty"`
}

// readView returns what is at a recorded mount.
func readView(interfaceName string, m bpffs.PodMount) View {
	v := View{Directory: interfaceName + "/" + m.Name, Token: m.IsToken(), Path: m.Path}
	root, err := m.Open()
	if errors.Is(err, fs.ErrNotExist) {
		return v
	}
	if err == nil {
		defer root.Close()
		v.Mounted, v.Path = true, root.Name()
		if !v.Token { // the pod fills that, with as much as it likes
			v.Maps, err = root.Readdirnames(-1)
		}
	}
	if err != nil {
		v.Error = err.Error()
	}
	v.Maps = slices.DeleteFunc(v.Maps, func(name string) bool { return strings.Contains(name, ".") }) // the kernel's own
	slices.Sort(v.Maps)
	return v
}

// Contents says what the pod sees in the directory.
func (v *View) Contents() string {
	if v.Token {
		return "token"
	}
	return strings.Join(v.Maps, ",")
}

// Lost returns the paths at which the endpoint has lost what the state says.
func (e *Endpoint) Lost(s State) (paths []string) {
	for _, p := range e.Pins {
		if s == PinMissing && p.Kind == Missing || s == PinReplaced && p.Replaced {
			paths = append(paths, p.Path)
		}
	}
	for _, v := range e.Views {
		if s == VolumeMissing && v.isMissing() {
			paths = append(paths, v.Path)
		}
	}
	return paths
}

func (v *View) isMissing() bool { return !v.Mounted && v.Error == "" }
