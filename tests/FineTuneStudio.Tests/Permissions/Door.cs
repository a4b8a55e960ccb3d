using System.Reflection;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.StaticAssets;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.PermissionMatrix;

/// A way into the product that somebody outside could try, and what it says about who may use it.
public sealed record Door(string Name, NeedsAttribute? Needs, OpenAttribute? Open)
{
    public static Door Of(string name, IEnumerable<object> marks) => new(name, marks.OfType<NeedsAttribute>().FirstOrDefault(), marks.OfType<OpenAttribute>().FirstOrDefault());

    /// What is wrong with the mark alone, before anybody knocks.
    public string? Fault => (Needs, Open) switch
    {
        (null, null) => $"{Name} carries neither Needs nor Open: say who may use it.",
        (not null, not null) => $"{Name} carries both Needs and Open: it can keep only one of them.",
        (null, { Why.Length: < 10 }) => $"{Name} is open without saying why that is safe.",
        _ => null,
    };

    /// Null where the caller may come in, else how they are turned away.
    public Denial? Refuses(Caller caller)
    {
        if (Needs is not null)
            return !caller.IsSignedIn ? Denial.SignIn : !caller.IsMember ? Denial.NoSuchProject
                : Permissions.Table.Single(l => l.Permission == Needs.Permission).Roles.Contains(caller.Role!.Value) ? null : Denial.RoleMissing;
        return Open!.Whom == OpenTo.Anyone ? null : !caller.IsSignedIn ? Denial.SignIn
            : Open.Whom == OpenTo.Administrator && !caller.IsAdministrator ? Denial.RoleMissing : null;
    }
}

/// Finds the doors of an assembly or of a running server, so that a new one cannot be forgotten.
public static class Doors
{
    public static IEnumerable<Type> Pages(Assembly assembly) => assembly.GetTypes().Where(t => t.GetCustomAttributes<RouteAttribute>().Any());

    /// Every address that the server answers, less the framework's own:
    /// static assets and their fallback (they hold nothing of anybody's), Blazor's circuit under _blazor and _framework (what it shows goes through the pages
    /// and use cases below), and the connection endpoints of hubs (each hub method is knocked at by itself).
    public static IEnumerable<RouteEndpoint> Endpoints(IServiceProvider services) => services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
        .Where(e => e.Metadata.GetMetadata<StaticAssetDescriptor>() is null && e.Metadata.GetMetadata<HubMetadata>() is null)
        .Where(e => e.RoutePattern.RawText?.TrimStart('/') is { } path && !path.StartsWith("_blazor") && !path.StartsWith("_framework") && path != "{**path:file}");

    /// The hubs and where they are mapped.
    public static IEnumerable<(Type Hub, string Path)> Hubs(IServiceProvider services) => services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
        .Where(e => e.Metadata.GetMetadata<HubMetadata>() is not null && !e.RoutePattern.RawText!.EndsWith("/negotiate"))
        .Select(e => (e.Metadata.GetMetadata<HubMetadata>()!.HubType, e.RoutePattern.RawText!))
        .Where(h => h.HubType.Assembly == typeof(Program).Assembly).Distinct();

    /// Classes of ours that the container hands out.
    public static IEnumerable<Type> Registered(IServiceCollection services, Assembly ours) =>
        services.Where(s => !s.IsKeyedService).Select(s => s.ImplementationType ?? s.ImplementationInstance?.GetType() ?? s.ServiceType)
            .Where(t => t.Assembly == ours && t.IsClass && !t.IsGenericTypeDefinition).Distinct();

    /// Public methods that a page, endpoint or hub could call. Left out: accessors, disposal, and what only fulfils a contract of the framework,
    /// which calls it itself (StartAsync of a hosted service, OnCircuitOpenedAsync); statics, which reach nothing that was injected.
    public static IEnumerable<MethodInfo> Methods(Type type) => type.GetMethods(BindingFlags.Public | BindingFlags.Instance)
        .Where(m => !m.IsSpecialName && m.DeclaringType!.Assembly == type.Assembly && m.Name is not ("Dispose" or "DisposeAsync"))
        .Where(m => m.GetBaseDefinition().DeclaringType!.Assembly == type.Assembly && !FulfilsTheFramework(type, m));

    private static bool FulfilsTheFramework(Type type, MethodInfo method) => type.GetInterfaces().Where(i => i.Assembly != type.Assembly)
        .Any(i => type.GetInterfaceMap(i).TargetMethods.Contains(method));

    public static string PathOf(RouteEndpoint endpoint, string project) => "/" + string.Join('/', endpoint.RoutePattern.PathSegments
        .Where(s => s.Parts is not [RoutePatternParameterPart { IsOptional: true }])
        .Select(s => string.Concat(s.Parts.Select(p => p switch
        {
            RoutePatternLiteralPart literal => literal.Content,
            RoutePatternSeparatorPart separator => separator.Content,
            RoutePatternParameterPart { Name: "project" } => project,
            RoutePatternParameterPart parameter => parameter.ParameterPolicies.Any(c => c.Content is "int" or "long") ? "1" : parameter.ParameterPolicies.Any(c => c.Content == "guid") ? Guid.Empty.ToString() : "none",
            _ => "",
        }))));
}
