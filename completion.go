package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completable is what a shell has to know of a command.
type completable struct {
	path     string // "" for the program, "admin grant"
	commands []*kong.Node
	flags    []*kong.Flag // with those of all commands
	values   []string     // that its argument may have
	files    bool         // its argument is a file or a folder
}

// printCompletion writes a script that a shell reads. Commands, flags and the few values
// that some have are in it, taken from what --help knows.
func printCompletion(out io.Writer, app *kong.Application, shell string) error {
	all := completables(app.Node, nil)
	var text string
	switch shell {
	case "bash":
		text = bashCompletion(all)
	case "zsh": // which reads the same script by a bridge of its own
		text = "#compdef video-tutorials\nautoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n" + bashCompletion(all)
	case "fish":
		text = fishCompletion(all)
	default:
		return fmt.Errorf("completion: %s is no shell that is known here", shell)
	}
	_, err := io.WriteString(out, text)
	return err
}

func completables(n *kong.Node, flags []*kong.Flag) []completable {
	flags = slices.Concat(flags, n.Flags)
	c := completable{commands: n.Children, flags: flags}
	if n.Type != kong.ApplicationNode {
		c.path = commandPath(n)
	}
	for _, p := range n.Positional {
		if p.Enum != "" {
			c.values = append(c.values, strings.Split(p.Enum, ",")...)
		}
		c.files = c.files || strings.Contains(p.Name, "file")
	}
	all := []completable{c}
	for _, child := range n.Children {
		all = append(all, completables(child, flags)...)
	}
	return all
}

// valuesOf are those that a flag may have, nil where they are not known.
func valuesOf(f *kong.Flag) []string {
	switch {
	case f.Enum != "":
		return strings.Split(f.Enum, ",")
	case f.Name == "environment":
		return []string{"development", "production"}
	case f.Name == "log-level":
		return []string{"debug", "info", "warn", "error"}
	case strings.Contains(f.PlaceHolder, "|"): // as in on|off
		return strings.Split(f.PlaceHolder, "|")
	}
	return nil
}

func names(f *kong.Flag) []string {
	if f.Tag != nil && f.Tag.Negatable != "" {
		return []string{f.Name, "no-" + f.Name}
	}
	return []string{f.Name}
}

func bashCompletion(all []completable) string {
	var b strings.Builder
	b.WriteString("_video_tutorials() {\n  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\" path=\"\" word i\n  COMPREPLY=()\n")
	b.WriteString("  for ((i = 1; i < COMP_CWORD; i++)); do\n    word=\"${COMP_WORDS[i]}\"\n    case \"$path/$word\" in\n")
	var paths []string
	for _, c := range all {
		if c.path != "" {
			paths = append(paths, `"/`+strings.ReplaceAll(c.path, " ", "/")+`"`)
		}
	}
	fmt.Fprintf(&b, "      %s) path=\"$path/$word\" ;;\n    esac\n  done\n", strings.Join(paths, " | "))
	b.WriteString("  case \"$previous\" in\n")
	seen := map[string]bool{}
	for _, c := range all {
		for _, f := range c.flags {
			if seen[f.Name] || f.IsBool() {
				continue
			}
			seen[f.Name] = true
			if values := valuesOf(f); values != nil {
				fmt.Fprintf(&b, "    --%s) COMPREPLY=($(compgen -W %q -- \"$current\")); return ;;\n", f.Name, strings.Join(values, " "))
			} else if f.PlaceHolder == "FOLDER" {
				fmt.Fprintf(&b, "    --%s) COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n", f.Name)
			} else {
				fmt.Fprintf(&b, "    --%s) return ;;\n", f.Name)
			}
		}
	}
	b.WriteString("  esac\n  case \"$path\" in\n")
	for _, c := range all {
		var words []string
		for _, child := range c.commands {
			words = append(words, child.Name)
		}
		words = append(words, c.values...)
		for _, f := range c.flags {
			for _, name := range names(f) {
				words = append(words, "--"+name)
			}
		}
		path := ""
		if c.path != "" {
			path = "/" + strings.ReplaceAll(c.path, " ", "/")
		}
		files := ""
		if c.files {
			files = ` COMPREPLY+=($(compgen -f -- "$current"));`
		}
		fmt.Fprintf(&b, "    %q) COMPREPLY=($(compgen -W %q -- \"$current\"));%s ;;\n", path, strings.Join(words, " "), files)
	}
	b.WriteString("  esac\n}\ncomplete -F _video_tutorials video-tutorials\n")
	return b.String()
}

func fishCompletion(all []completable) string {
	var b strings.Builder
	quote := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	b.WriteString("complete -c video-tutorials -f\n")
	for _, c := range all {
		words := strings.Fields(c.path)
		when := "__fish_use_subcommand"
		if len(words) > 0 {
			when = "__fish_seen_subcommand_from " + words[len(words)-1]
		}
		var below []string
		for _, child := range c.commands {
			below = append(below, child.Name)
		}
		if len(words) > 0 && len(below) > 0 { // until one of them is there
			when += "; and not __fish_seen_subcommand_from " + strings.Join(below, " ")
		}
		for _, child := range c.commands {
			fmt.Fprintf(&b, "complete -c video-tutorials -n %s -a %s -d %s\n", quote(when), child.Name, quote(child.Help))
		}
		for _, value := range c.values {
			fmt.Fprintf(&b, "complete -c video-tutorials -n %s -a %s\n", quote(when), value)
		}
		if c.files {
			fmt.Fprintf(&b, "complete -c video-tutorials -n %s -F\n", quote(when))
		}
		for _, f := range c.flags {
			if c.path != "" && !slices.Contains(own(c, all), f) {
				continue
			}
			condition := "" // the flags of the program go with all commands
			if c.path != "" {
				condition = " -n " + quote(when)
			}
			for _, name := range names(f) {
				fmt.Fprintf(&b, "complete -c video-tutorials%s -l %s -d %s", condition, name, quote(f.Help))
				if f.Short != 0 {
					fmt.Fprintf(&b, " -s %c", f.Short)
				}
				if values := valuesOf(f); values != nil {
					fmt.Fprintf(&b, " -x -a %s", quote(strings.Join(values, " ")))
				} else if f.PlaceHolder == "FOLDER" {
					b.WriteString(" -r -F")
				} else if !f.IsBool() {
					b.WriteString(" -x")
				}
				b.WriteString("\n")
			}
		}
	}
	return b.String()
}

// own are the flags of a command that the program does not have.
func own(c completable, all []completable) (flags []*kong.Flag) {
	for _, f := range c.flags {
		if !slices.Contains(all[0].flags, f) {
			flags = append(flags, f)
		}
	}
	return flags
}
