package views

import (
	"net/url"
	"strconv"
)

// The paths of the admin portal.
const (
	AdminPath                    = "/admin"
	AdminMessagesPath            = AdminPath + "/messages"
	AdminTailPath                = AdminPath + "/tail"
	AdminStreamsPath             = AdminPath + "/streams"
	AdminCategoriesPath          = AdminPath + "/categories"
	AdminTypesPath               = AdminPath + "/types"
	AdminUsersPath               = AdminPath + "/users"
	AdminSubscriptionsPath       = AdminPath + "/subscriptions"
	AdminSubscriberPositionsPath = AdminPath + "/subscriber-positions"
	AdminRebuildPath             = AdminPath + "/rebuild"
	AdminContractsPath           = AdminPath + "/contracts"
	// AdminSearchPath takes the form that searches, with the field q.
	AdminSearchPath = AdminPath + "/search"
)

// below is the path of a thing by its name, which may be anything that a message holds.
func below(path, name string) string { return path + "/" + url.PathEscape(name) }

// AdminMessagePath is the path of the page of a message.
func AdminMessagePath(id string) string { return below(AdminMessagesPath, id) }

// AdminRevealMessagePath takes the form that shows what is masked of a message.
func AdminRevealMessagePath(id string) string { return AdminMessagePath(id) + "/reveal" }

// AdminMessagesBefore is the path of the messages with a global position below one.
func AdminMessagesBefore(position int64) string {
	return AdminMessagesPath + "?before=" + strconv.FormatInt(position, 10)
}

// AdminStreamPath is the path of the page of a stream.
func AdminStreamPath(stream string) string { return named(AdminStreamsPath, "stream", stream) }

// AdminCategoryPath is the path of the page of a category.
func AdminCategoryPath(category string) string {
	return named(AdminCategoriesPath, "category", category)
}

// AdminStreamsOf is the path of the list of the streams of a category.
func AdminStreamsOf(category string) string {
	return AdminStreamsPath + "?" + url.Values{"category": {category}}.Encode()
}

// AdminStreamsWith is the path of the list of the streams that have an id.
func AdminStreamsWith(id string) string {
	return AdminStreamsPath + "?" + url.Values{"id": {id}}.Encode()
}

// AdminTypeMessagesPath is the path of the list of messages of a type.
func AdminTypeMessagesPath(kind string) string {
	return named(AdminPath+"/type-messages", "type", kind)
}

// AdminUserPath is the path of the page of a person.
func AdminUserPath(userID string) string { return below(AdminUsersPath, userID) }

// AdminRevealUserPath takes the form that shows what is masked of an account.
func AdminRevealUserPath(userID string) string { return AdminUserPath(userID) + "/reveal" }

// AdminUserMessagesPath is the path of the list of messages that were written for a person.
func AdminUserMessagesPath(userID string) string {
	return named(AdminPath+"/user-messages", "user", userID)
}

// AdminTracePath is the path of the page of all messages of a trace.
func AdminTracePath(traceID string) string {
	return named(AdminPath+"/correlated-messages", "trace", traceID)
}

// named is below, but for names that browsers would take for a step up: these stand in the
// query of the list of all messages.
func named(path, field, name string) string {
	if name == "." || name == ".." {
		return AdminMessagesPath + "?" + url.Values{field: {name}}.Encode()
	}
	return below(path, name)
}
