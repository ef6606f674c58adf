// Package conflist reads the directories that hold CNI network configurations,
// and puts the plugin bpffs into a configuration list or takes it out again
// without touching another byte of it.
//
// What counts as a configuration, and what a list means, libcni says, which
// container runtimes use. Where the plugins stand in a file, and what is wrong with
// which file, it does not. Nothing here changes a file.
package conflist

// PluginType is the type by which a network configuration calls the plugin.
const PluginType = "bpffs"
