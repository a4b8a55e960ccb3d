using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Http.Features;

namespace FineTuneStudio.Accounts;

/// Posts to account pages and invitations, counted in a minute for each address and for each account name.
/// SignIn:PerAddress and SignIn:PerName set how many.
public static class AttemptLimit
{
    public const string Sentence = "Too many attempts. Wait a minute, then try again.";

    public static void UseAttemptLimit(this WebApplication app)
    {
        var perAddress = Counting(app.Configuration.GetValue("SignIn:PerAddress", 30));
        var perName = Counting(app.Configuration.GetValue("SignIn:PerName", 10));
        app.Lifetime.ApplicationStopped.Register(() => { perAddress.Dispose(); perName.Dispose(); });
        app.Use(async (context, next) =>
        {
            var path = context.Request.Path;
            if (!HttpMethods.IsPost(context.Request.Method) || !(path.StartsWithSegments("/account") || path.StartsWithSegments("/join"))) { await next(context); return; }
            if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = 64 * 1024;
            using var address = perAddress.AttemptAcquire(context.Connection.RemoteIpAddress?.ToString() ?? "");
            var allowed = address.IsAcquired;
            if (allowed && context.Request.HasFormContentType)
            {
                var name = (await context.Request.ReadFormAsync(context.RequestAborted))["Form.Email"].ToString().Trim().ToUpperInvariant();
                name = name[..Math.Min(name.Length, 320)];
                if (name.Length > 0)
                {
                    using var named = perName.AttemptAcquire(name);
                    allowed = named.IsAcquired;
                }
            }
            if (allowed) { await next(context); return; }
            context.Response.StatusCode = StatusCodes.Status429TooManyRequests;
            context.Response.Headers.RetryAfter = "60";
            await context.Response.WriteAsync(Sentence, context.RequestAborted);
        });
    }

    private static PartitionedRateLimiter<string> Counting(int permits) => PartitionedRateLimiter.Create<string, string>(key =>
        RateLimitPartition.GetFixedWindowLimiter(key, _ => new() { PermitLimit = permits, Window = TimeSpan.FromMinutes(1), QueueLimit = 0 }));
}
