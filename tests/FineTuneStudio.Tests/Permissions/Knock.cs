using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using FineTuneStudio.Projects;
using Microsoft.AspNetCore.Components;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneStudio.Tests.PermissionMatrix;

/// Calls a method with the real project's id and empty arguments, and says how it was refused; null where it was not.
public static class Knock
{
    public static async Task<Denial?> At(Type type, MethodInfo method, Caller caller, string project)
    {
        await using var scope = caller.Scope();
        return await In(scope.ServiceProvider, caller.App, type, method, project);
    }

    public static async Task<Denial?> In(IServiceProvider services, StudioFixture app, Type type, MethodInfo method, string project)
    {
        var target = typeof(IComponent).IsAssignableFrom(type) ? Component(services, type, project) : services.GetServices(Service(app, type)).First(s => s!.GetType() == type)!;
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        var arguments = method.GetParameters().Select(p => Argument(p, project, stop.Token)).ToArray();
        return await Refused(() => method.Invoke(target, BindingFlags.DoNotWrapExceptions, null, arguments, null));
    }

    public static async Task<Denial?> Refused(Func<object?> call)
    {
        try
        {
            await Finish(call()).WaitAsync(TimeSpan.FromSeconds(10));
            return null;
        }
        catch (AccessDenied denied) { return denied.Denial; }
        catch { return null; } // Let in: what it makes of empty arguments is not asked here.
    }

    private static Type Service(StudioFixture app, Type type) => app.Registered.First(s => !s.IsKeyedService
        && (s.ServiceType == type || s.ImplementationType == type || s.ImplementationInstance?.GetType() == type)).ServiceType;

    /// As the renderer makes it, less the rendering.
    private static object Component(IServiceProvider services, Type type, string project)
    {
        var component = Activator.CreateInstance(type)!;
        foreach (var property in type.GetProperties(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance))
            if (property.IsDefined(typeof(InjectAttribute))) property.SetValue(component, services.GetService(property.PropertyType));
            else if (property.Name == "Project") property.SetValue(component, project);
        return component;
    }

    private static async Task Finish(object? result)
    {
        switch (result)
        {
            case Task task: await task; return;
            case ValueTask task: await task; return;
            case IEnumerable lazy and not (string or IDictionary or IList): lazy.GetEnumerator().MoveNext(); return;
            case null: return;
        }
        var kind = result.GetType();
        if (kind.IsGenericType && kind.GetGenericTypeDefinition() == typeof(ValueTask<>)) { await (Task)kind.GetMethod("AsTask")!.Invoke(result, null)!; return; }
        // An async stream checks nothing before its first item is asked for.
        if (kind.GetInterfaces().FirstOrDefault(i => i.IsGenericType && i.GetGenericTypeDefinition() == typeof(IAsyncEnumerable<>)) is { } stream)
            await (Task)typeof(Knock).GetMethod(nameof(First), BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(stream.GetGenericArguments()).Invoke(null, [result])!;
    }

    private static async Task First<T>(IAsyncEnumerable<T> stream) { await foreach (var _ in stream) return; }

    public static object? Argument(ParameterInfo parameter, string project, CancellationToken cancel)
    {
        var type = parameter.ParameterType;
        if (type == typeof(string)) return parameter.Name is "projectId" or "project" ? project : "";
        if (type == typeof(CancellationToken)) return cancel;
        if (parameter.HasDefaultValue && parameter.DefaultValue is not null) return parameter.DefaultValue;
        return Empty(type);
    }

    private static object? Empty(Type type)
    {
        if (type == typeof(string)) return "";
        if (type == typeof(Stream)) return new MemoryStream();
        if (Nullable.GetUnderlyingType(type) is not null) return null;
        if (type.IsValueType) return Activator.CreateInstance(type);
        if (type.IsArray) return Array.CreateInstance(type.GetElementType()!, 0);
        if (type.IsInterface && type.IsGenericType)
        {
            var item = type.GetGenericArguments();
            foreach (var candidate in new[] { typeof(List<>), typeof(HashSet<>), typeof(Dictionary<,>) })
                if (candidate.GetGenericArguments().Length == item.Length && type.IsAssignableFrom(candidate.MakeGenericType(item)))
                    return Activator.CreateInstance(candidate.MakeGenericType(item));
        }
        if (type.IsAbstract || typeof(Delegate).IsAssignableFrom(type)) return null;
        return type.GetConstructor(Type.EmptyTypes) is not null ? Activator.CreateInstance(type) : RuntimeHelpers.GetUninitializedObject(type);
    }
}
