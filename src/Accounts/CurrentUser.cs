using System.Security.Claims;
using Microsoft.AspNetCore.Components.Authorization;
using Microsoft.AspNetCore.Components.Server.Circuits;

namespace FineTuneStudio.Accounts;

/// Who asks, for one request, one hub call or one circuit. Set at the door of each; use cases only read it.
public sealed class CurrentUser
{
    public ClaimsPrincipal Principal { get; private set; } = new(new ClaimsIdentity());

    public string? Id => Principal.Identity is { IsAuthenticated: true } ? Principal.FindFirstValue(ClaimTypes.NameIdentifier) : null;

    public string? SecurityStamp => Principal.FindFirstValue("AspNet.Identity.SecurityStamp");

    [Open(OpenTo.Anyone, "called at the door of a request, hub call or circuit, never with what a client sends")]
    public void Set(ClaimsPrincipal principal) => Principal = principal;
}

/// Keeps the circuit's CurrentUser in step with its authentication state, so that a sign-out reaches open pages.
public sealed class CurrentUserCircuit(AuthenticationStateProvider states, CurrentUser user) : CircuitHandler, IDisposable
{
    public override async Task OnCircuitOpenedAsync(Circuit circuit, CancellationToken cancellationToken)
    {
        states.AuthenticationStateChanged += Changed;
        user.Set((await states.GetAuthenticationStateAsync()).User);
    }

    private async void Changed(Task<AuthenticationState> state) => user.Set((await state).User);

    public void Dispose() => states.AuthenticationStateChanged -= Changed;
}
