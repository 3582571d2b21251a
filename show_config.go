package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// showConfig prints each setting with its value and where that comes from. Secrets are not
// shown, be they in the middle of a URL.
func showConfig(out io.Writer, parsed *kong.Context, fromFile map[string]bool) error {
	byFlag := map[string]bool{}
	for _, p := range parsed.Path {
		if p.Flag != nil && !p.Resolved {
			byFlag[p.Flag.Name] = true
		}
	}
	settings := map[string]string{} // the placeholders of the settings, by flag
	fields := reflect.TypeFor[config]()
	for i := range fields.NumField() {
		tag := fields.Field(i).Tag
		name := tag.Get("name")
		if name == "" {
			name = strings.ToLower(fields.Field(i).Name)
		}
		settings[name] = tag.Get("placeholder")
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tFROM")
	for _, f := range parsed.Model.Flags {
		kind, is := settings[f.Name]
		if !is {
			continue
		}
		name, from := "--"+f.Name, "default"
		variable := ""
		if len(f.Envs) > 0 {
			name, variable = f.Envs[0], f.Envs[0]
		}
		switch {
		case byFlag[f.Name]:
			from = "flag --" + f.Name
		case fromFile[variable]:
			from = ".env"
		case variable != "" && os.Getenv(variable) != "":
			from = "environment"
		}
		value := fmt.Sprint(f.Target.Interface())
		if list, is := f.Target.Interface().([]string); is {
			value = strings.Join(list, ",")
		}
		if value == "" {
			value, from = "(not set)", "-"
		} else if value = masked(kind, value); !f.HasDefault && from == "default" {
			from = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", name, value, from)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	return nil
}

// masked returns a value as it may be shown: kind is the placeholder of its flag.
func masked(kind, value string) string {
	switch kind {
	case "SECRET", "KEY", "PASSWORD", "TOKEN":
		return fmt.Sprintf("(set, %d characters)", utf8.RuneCountInString(value))
	case "URL":
		return maskedURL(value)
	}
	return value
}

// maskedURL hides the password of a URL, and whatever else in it sounds like a secret. Of what is
// no URL nothing is shown: a password may stand anywhere in it.
func maskedURL(value string) string {
	const hidden = "***"
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return "(set, and no URL)"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "(set, and no URL)"
	}
	for name := range query {
		for _, secret := range []string{"pass", "secret", "key", "token", "sig"} {
			if strings.Contains(strings.ToLower(name), secret) {
				query.Set(name, hidden)
			}
		}
	}
	if len(query) > 0 {
		u.RawQuery = strings.ReplaceAll(query.Encode(), url.QueryEscape(hidden), hidden)
	}
	u.Fragment = ""
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "hidden")
		return strings.Replace(u.String(), ":hidden@", ":"+hidden+"@", 1)
	}
	return u.String()
}
