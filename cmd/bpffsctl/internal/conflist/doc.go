// Package conflist reads the directories that hold CNI network configurations,
// and puts the plugin bpffs into a configuration list or takes it out again
// without touching another byte of it.
//
// What counts as a configuration, and what a list means, follows libcni 1.3,
// which container runtimes use. Nothing here changes a file.
package conflist

// PluginType is the type by which a network configuration calls the plugin.
const PluginType = "bpffs"
