package conflist

import "strings"

// A Plugin is one element of a [List].
type Plugin struct {
	Type string
	Raw  []byte // the object as it stands in the file

	start, end int // where that is
}

// Ours reports whether it is the plugin bpffs.
func (p Plugin) Ours() bool { return p.Type == PluginType }

// MakesInterface reports whether it makes the pod's interface, or has another plugin
// make it. One whose type is not known does: those that only work on an interface
// which is there are few, and are told here by their types.
func (p Plugin) MakesInterface() bool {
	switch p.Type {
	case PluginType,
		"loopback",                                                 // makes lo usable, which every pod has
		"bandwidth", "firewall", "portmap", "sbr", "tuning", "vrf", // of containernetworking/plugins
		"dnsname", "isolation", "podman-machine", // of podman and nerdctl
		"egress-cni",                         // of the Amazon VPC CNI
		"passthru", "rdma", "route-override", // beside Multus
		"tc-redirect-tap",
		"consul-cni", "kuma-cni", "linkerd-cni":
		return false
	}
	return !strings.HasSuffix(p.Type, "istio-cni") // OpenShift puts the version before it
}

// IsMultus reports whether plugins of the type call other networks, which the Multus of
// each age does (multus, multus-shim).
func IsMultus(pluginType string) bool { return strings.HasPrefix(pluginType, "multus") }

// Main returns the plugin that makes the interface: the first that does.
func (l List) Main() (Plugin, bool) { return l.first(Plugin.MakesInterface) }

// Ours returns the first element that is our plugin.
func (l List) Ours() (Plugin, bool) { return l.first(Plugin.Ours) }

// HasOthers reports whether there is a plugin that is not ours.
func (l List) HasOthers() bool {
	_, has := l.first(func(p Plugin) bool { return !p.Ours() })
	return has
}

// OursFirst reports whether our plugin comes before the one that makes the
// interface, where it has no interface to work on.
func (l List) OursFirst() bool {
	first, _ := l.first(func(p Plugin) bool { return p.Ours() || p.MakesInterface() })
	return first.Ours()
}

func (l List) first(is func(Plugin) bool) (Plugin, bool) {
	for _, p := range l.Plugins {
		if is(p) {
			return p, true
		}
	}
	return Plugin{}, false
}
