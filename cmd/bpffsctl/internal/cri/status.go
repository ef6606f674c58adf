package cri

import (
	"context"
	"encoding/json"
	"slices"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A Status is what a runtime says of its network.
type Status struct {
	Ready   bool   // it can connect pods
	Message string // why not
	Dirs    Dirs
	Loaded  []Network // which it has loaded for pods; nil if it does not say
}

// A Network is one that a runtime has loaded.
type Network struct {
	Name, CNIVersion string
	Plugins          []string // their types, those of drop-in files too
}

// Has reports whether the network has a plugin of the type.
func (n Network) Has(plugin string) bool { return slices.Contains(n.Plugins, plugin) }

// Network returns the network of the name, if it is loaded.
func (s Status) Network(name string) (Network, bool) {
	i := slices.IndexFunc(s.Loaded, func(n Network) bool { return n.Name == name })
	if i < 0 {
		return Network{}, false
	}
	return s.Loaded[i], true
}

// Status returns what the runtime says of its network. With cniVersion 1.1.0 some
// ask the plugins whether it is ready (STATUS); the others only look whether one is
// configured. Directories and networks are what containerd adds to a verbose
// answer; of a runtime that does not, such as CRI-O, they are not known.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.ask(ctx, "its status", func(ctx context.Context) error {
		r, err := c.service.Status(ctx, &runtime.StatusRequest{Verbose: true})
		for _, condition := range r.GetStatus().GetConditions() {
			if condition.GetType() == runtime.NetworkReady {
				s.Ready, s.Message = condition.GetStatus(), condition.GetMessage()
			}
		}
		s.Dirs, s.Loaded = configured(r.GetInfo()["config"]), loaded(r.GetInfo()["cniconfig"])
		return err
	})
	return s, err
}

// loaded returns the networks for pods in what containerd says of them (1.6 and
// 2.4: type ConfigResult of github.com/containerd/go-cni).
func loaded(info string) []Network {
	var said struct {
		Networks []struct {
			IFName string
			Config struct {
				Name, CNIVersion string
				Plugins          []struct {
					Network struct{ Type string }
				}
			}
		}
	}
	if json.Unmarshal([]byte(info), &said) != nil {
		return nil
	}
	all := []Network{}
	for _, n := range said.Networks {
		if n.IFName == "lo" { // containerd's own, of every pod
			continue
		}
		one := Network{Name: n.Config.Name, CNIVersion: n.Config.CNIVersion}
		for _, p := range n.Config.Plugins {
			one.Plugins = append(one.Plugins, p.Network.Type)
		}
		all = append(all, one)
	}
	return all
}
