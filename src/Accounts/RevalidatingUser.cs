using System.Security.Claims;
using Microsoft.AspNetCore.Components.Authorization;
using Microsoft.AspNetCore.Components.Server;
using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Accounts;

/// Ends open pages of a person whose password changed elsewhere. Use cases check the stamp on every call as well; this also takes the page away.
public sealed class RevalidatingUser(ILoggerFactory loggers, IServiceScopeFactory scopes) : RevalidatingServerAuthenticationStateProvider(loggers)
{
    protected override TimeSpan RevalidationInterval => TimeSpan.FromMinutes(1);

    protected override async Task<bool> ValidateAuthenticationStateAsync(AuthenticationState state, CancellationToken cancel)
    {
        try
        {
            await using var scope = scopes.CreateAsyncScope();
            var users = scope.ServiceProvider.GetRequiredService<UserManager<StudioUser>>();
            var user = await users.GetUserAsync(state.User);
            return user is not null && state.User.FindFirstValue("AspNet.Identity.SecurityStamp") == await users.GetSecurityStampAsync(user);
        }
        catch (ObjectDisposedException) { return false; } // the server is stopping
    }
}
