// Package install puts the plugin bpffs and its configuration onto a node, keeps
// them there, and takes them away again.
//
// Every change is one rename in the directory it concerns. What is written before
// it has the name [scratch], which no runtime reads; a process that is killed
// leaves nothing else, and the next one removes it.
package install
