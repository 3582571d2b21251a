// Package contracts knows every type of message: where it stands, what its fields
// are, and which of them are personal or secret: those have the tag `mask:"true"`.
package contracts

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"videotutorials/components/administration/administrationmsg"
	"videotutorials/components/authentication/authenticationmsg"
	"videotutorials/components/identity/identitymsg"
	"videotutorials/components/sendemail/sendemailmsg"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
)

// What a message can be.
const (
	Command = "command"
	Event   = "event"
)

// registry holds every type of message with the category that it stands in, but those
// that the message store writes itself.
var registry = []struct {
	category messagestore.Category
	bodies   []messagestore.Body
}{
	{administrationmsg.Category, []messagestore.Body{
		administrationmsg.PageOpened{}, administrationmsg.SearchMade{}, administrationmsg.DataRevealed{}, administrationmsg.AccountRevealed{},
		administrationmsg.RebuildStarted{}, administrationmsg.RebuildSwitched{}, administrationmsg.RebuildCancelled{},
	}},
	{authenticationmsg.Category, []messagestore.Body{
		authenticationmsg.UserLoggedIn{}, authenticationmsg.UserLoginFailed{}, authenticationmsg.SessionEnded{},
	}},
	{identitymsg.Category.Commands(), []messagestore.Body{
		identitymsg.Register{}, identitymsg.ConfirmEmail{}, identitymsg.RequestConfirmation{}, identitymsg.RequestPasswordReset{},
		identitymsg.ResetPassword{}, identitymsg.ChangePassword{}, identitymsg.UpgradePasswordHash{}, identitymsg.ChangeEmail{},
		identitymsg.GrantRole{}, identitymsg.RevokeRole{}, identitymsg.ClaimFirstAdmin{},
	}},
	{identitymsg.Category, []messagestore.Body{
		identitymsg.Registered{}, identitymsg.RegistrationRejected{}, identitymsg.RegistrationEmailSent{}, identitymsg.RegistrationEmailFailed{},
		identitymsg.EmailConfirmed{}, identitymsg.EmailConfirmationRejected{}, identitymsg.ConfirmationRequested{},
		identitymsg.PasswordResetRequested{}, identitymsg.PasswordChanged{}, identitymsg.PasswordChangeRejected{}, identitymsg.PasswordHashUpgraded{},
		identitymsg.EmailChangeRequested{}, identitymsg.EmailChanged{}, identitymsg.EmailChangeRejected{},
		identitymsg.RoleGranted{}, identitymsg.RoleRevoked{}, identitymsg.RoleChangeRejected{},
	}},
	{identitymsg.AddressCategory, []messagestore.Body{identitymsg.EmailReserved{}, identitymsg.EmailReleased{}}},
	{identitymsg.FirstAdminStream.Category(), []messagestore.Body{identitymsg.FirstAdminClaimed{}}},
	{identitymsg.KeyStream.Category(), []messagestore.Body{identitymsg.KeyChosen{}}},
	{sendemailmsg.Category.Commands(), []messagestore.Body{sendemailmsg.Send{}}},
	{sendemailmsg.Category, []messagestore.Body{sendemailmsg.Sent{}, sendemailmsg.Failed{}, sendemailmsg.Postponed{}}},
	{publishingmsg.Category.Commands(), []messagestore.Body{
		publishingmsg.BeginUpload{}, publishingmsg.AbandonUpload{},
		publishingmsg.PublishVideo{}, publishingmsg.RetryPublishing{}, publishingmsg.CancelPublishing{},
		publishingmsg.NameVideo{}, publishingmsg.DescribeVideo{}, publishingmsg.ChangeVisibility{}, publishingmsg.DeleteVideo{},
		publishingmsg.AddCaptions{}, publishingmsg.RemoveCaptions{}, publishingmsg.SetChapters{}, publishingmsg.RemoveChapters{},
	}},
	{publishingmsg.Category, []messagestore.Body{
		publishingmsg.UploadBegun{}, publishingmsg.UploadRejected{}, publishingmsg.UploadAbandoned{},
		publishingmsg.VideoPublishingStarted{}, publishingmsg.VideoPublishingRejected{}, publishingmsg.RenditionTranscoded{},
		publishingmsg.VideoPlayable{}, publishingmsg.VideoPublished{}, publishingmsg.VideoPublishingFailed{}, publishingmsg.VideoPublishingCanceled{},
		publishingmsg.VideoNamed{}, publishingmsg.VideoNameRejected{}, publishingmsg.VideoDescribed{}, publishingmsg.VideoDescriptionRejected{},
		publishingmsg.VisibilityChanged{}, publishingmsg.VisibilityChangeRejected{}, publishingmsg.VideoDeleted{}, publishingmsg.VideoDeletionRejected{},
		publishingmsg.CaptionsAdded{}, publishingmsg.CaptionsRemoved{}, publishingmsg.CaptionsRejected{},
		publishingmsg.ChaptersSet{}, publishingmsg.ChaptersRemoved{}, publishingmsg.ChaptersRejected{},
	}},
	{viewingmsg.Category, []messagestore.Body{viewingmsg.VideoViewed{}}},
}

// Message is one type of message.
type Message struct {
	// Type is the name as it is stored: "VideoNamed".
	Type string
	// Category is the category that its streams are of: "videoPublishing".
	Category messagestore.Category
	// Kind is [Command] or [Event].
	Kind string
	// Package is the package of the Go type, from the top of the source:
	// "components/videopublishing/publishingmsg".
	Package string
	// Doc says what the message means.
	Doc string
	// Fields are in the order of the Go type.
	Fields []Field
	// Writers and Handlers are the packages that write the type and those that
	// handle it, from the top of the source; "main" is the program itself.
	Writers, Handlers []string
	// Example is data of one.
	Example json.RawMessage
	// SchemaVersion is the version of the form that is written now, from 1.
	SchemaVersion int
}

// Field is one field of a message's data.
type Field struct {
	// Name is the key in the JSON; "parked.*.error" is the field of every value of
	// an object.
	Name string
	// Type is the JSON type: "string", "integer", "number", "boolean", "object", or
	// "array of string", "object of integer"; "any" where it can be any.
	Type string
	// Doc says what it holds.
	Doc string
	// Masked says that the value is personal or secret.
	Masked bool
	// Optional says that it can be left out.
	Optional bool
}

var (
	messages = describe()
	masks    = newMasks()
)

// All returns every type, sorted by category and type. The slice is shared: do not
// change it.
func All() []Message { return messages }

// Of returns the type of a name in a category.
func Of(category messagestore.Category, name string) (Message, bool) {
	i, found := slices.BinarySearchFunc(messages, Message{Category: category, Type: name}, inOrder)
	if !found {
		return Message{}, false
	}
	return messages[i], true
}

func inOrder(a, b Message) int {
	return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Type, b.Type))
}

// bodies calls f for every type of message.
func bodies(f func(messagestore.Category, messagestore.Body)) {
	for _, r := range registry {
		for _, body := range r.bodies {
			f(r.category, body)
		}
	}
	for category, own := range messagestore.OwnMessages() {
		for _, body := range own {
			f(category, body)
		}
	}
}

func describe() []Message {
	var all []Message
	document := readDocument()
	bodies(func(category messagestore.Category, body messagestore.Body) {
		kind := Event
		if strings.HasSuffix(string(category), string(messagestore.Category("").Commands())) {
			kind = Command
		}
		goType := reflect.TypeOf(body)
		m := Message{
			Type: body.MessageType(), Category: category, Kind: kind, SchemaVersion: 1,
			Package: goType.PkgPath()[strings.IndexByte(goType.PkgPath(), '/')+1:],
			Fields:  fields(goType, ""),
		}
		if v, ok := body.(messagestore.Versioned); ok {
			m.SchemaVersion = v.SchemaVersion()
		}
		document.explain(&m)
		all = append(all, m)
	})
	slices.SortFunc(all, inOrder)
	return all
}

func fields(t reflect.Type, prefix string) []Field {
	var all []Field
	for f, key := range jsonFields(t) {
		name := prefix + key
		optional := strings.Contains(f.Tag.Get("json"), ",omit")
		all = append(all, Field{Name: name, Type: typeName(f.Type), Masked: isMasked(f), Optional: optional})
		if inner, step := insideOf(f.Type); inner.Kind() == reflect.Struct && jsonType(inner) == "object" {
			all = append(all, fields(inner, name+step)...)
		}
	}
	return all
}

// insideOf returns the type of what a value holds, and how a name goes on to it.
func insideOf(t reflect.Type) (reflect.Type, string) {
	switch t.Kind() {
	case reflect.Pointer:
		return insideOf(t.Elem())
	case reflect.Map, reflect.Slice, reflect.Array:
		inner, step := insideOf(t.Elem())
		return inner, ".*" + step
	}
	return t, "."
}

// jsonFields yields the fields of a struct with their keys in the JSON, those of
// embedded structs in their place.
func jsonFields(t reflect.Type) func(yield func(reflect.StructField, string) bool) {
	return func(yield func(reflect.StructField, string) bool) { eachField(t, yield) }
}

func eachField(t reflect.Type, yield func(reflect.StructField, string) bool) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			if !eachField(f.Type, yield) {
				return false
			}
			continue
		}
		if f.IsExported() && name != "-" && !yield(f, cmp.Or(name, f.Name)) {
			return false
		}
	}
	return true
}

func isMasked(f reflect.StructField) bool { return f.Tag.Get("mask") == "true" }

// typeName is jsonType with what a list or a map holds.
func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		return typeName(t.Elem())
	}
	name := cmp.Or(jsonType(t), "any")
	if name == "array" || name == "object" && t.Kind() == reflect.Map {
		name += " of " + typeName(t.Elem())
	}
	return name
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

// jsonType returns the type of a value in JSON, empty for any.
func jsonType(t reflect.Type) string {
	switch t {
	case timeType:
		return "string"
	case rawType:
		return ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		return jsonType(t.Elem())
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "string" // in base 64
		}
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	}
	return ""
}
