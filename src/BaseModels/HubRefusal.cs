using System.Net;

namespace FineTuneStudio.BaseModels;

/// What an answer of the hub that is no success means, in words. The hub tells the cases apart by a header of its own.
public static class HubRefusal
{
    /// For faults that pass by themselves an IOException, so that they are treated like a cut connection.
    internal static Exception Of(HttpResponseMessage answer, Uri hub, string repository, string asked, bool withToken)
    {
        var code = answer.Headers.TryGetValues("X-Error-Code", out var codes) ? codes.FirstOrDefault() : null;
        var page = $"{hub.ToString().TrimEnd('/')}/{repository}";
        return (code, (int)answer.StatusCode) switch
        {
            ("GatedRepo", _) when !withToken => Gated(hub, repository),
            ("GatedRepo", _) => new HubInterrupted($"The access token is taken, but its account may not download “{repository}”. Accept the terms on {page} with that account, or ask its authors, then continue.", needsToken: true),
            ("RevisionNotFound", _) => new ModelRefused($"“{repository}” has no revision “{asked}” on {hub.Host}. Give a branch, a tag or a commit of it; most have main."),
            ("EntryNotFound", _) => new ModelRefused($"“{asked}” is no longer in “{repository}” on {hub.Host}: the model was changed there in the meantime. Begin the import anew."),
            (not "RepoNotFound", 401) when withToken => new HubInterrupted($"{hub.Host} does not take this access token. Make a new one with the right to read, in the settings of your account there, and give that.", needsToken: true),
            ("RepoNotFound", _) or (_, 401) or (null, 404) => new HubInterrupted($"There is no model “{repository}” on {hub.Host}, or it is private. Check the name{(withToken ? ", and whether the token's account may see it" : "; a private model needs an access token")}.", needsToken: !withToken),
            (_, 403) => new HubInterrupted($"{hub.Host} does not let “{repository}” be downloaded{(withToken ? " with this access token: it lacks the right to read it" : " without an access token")}.", needsToken: true),
            (_, 408 or 429 or >= 500) => new IOException($"the hub answered with status {(int)answer.StatusCode}{(answer.StatusCode == HttpStatusCode.TooManyRequests ? ", too many requests" : "")}"),
            (_, var status) => new ModelRefused($"{hub.Host} answered with status {status}, which a model hub does not do here. Check its address, {hub}."),
        };
    }

    internal static HubInterrupted Gated(Uri hub, string repository) =>
        new($"“{repository}” is gated: its authors want to know who downloads it. Accept their terms on {hub.ToString().TrimEnd('/')}/{repository} and give an access token of that account.", needsToken: true);

    /// The cause beneath the general words of the HTTP client.
    internal static string Why(Exception fault) => fault.GetBaseException().Message.TrimEnd('.');

    internal static HubInterrupted Unreachable(Uri hub, Exception why) =>
        new($"{hub.Host} cannot be reached ({Why(why)}). Check this server's connection and the hub's address, {hub}, then try again.");
}
